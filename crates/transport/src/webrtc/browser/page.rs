//! The worker's end of the port to the page: numbers connections and delivers messages to them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{MessageEvent, MessagePort};

use super::connection::Connection;
use super::port::{FromPage, ToPage};

/// See the module's documentation.
pub(super) struct Page {
    port: MessagePort,
    connections: RefCell<HashMap<u32, Weak<Connection>>>,
    next: Cell<u32>,
    // Kept alive for as long as the browser may call it.
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

impl Page {
    pub(super) fn new(port: MessagePort) -> Rc<Self> {
        Rc::new_cyclic(|page: &Weak<Self>| {
            let page = page.clone();
            let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                if let Some(page) = page.upgrade() {
                    page.handle(&event);
                }
            });
            port.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
            Self { port, connections: RefCell::default(), next: Cell::new(0), _on_message: on_message }
        })
    }

    fn handle(&self, event: &MessageEvent) {
        let Some((id, message)) = FromPage::from_value(&event.data()) else {
            return tracing::warn!("the page sent something that is no message of the bridge");
        };
        let connection = self.connections.borrow().get(&id).and_then(Weak::upgrade);
        if let Some(connection) = connection {
            connection.handle(message);
        }
    }

    pub(super) fn post(&self, message: &ToPage<'_>) {
        message.post(&self.port);
    }

    /// A new connection under a number of its own. The page is asked to make it, with `credentials` as its ICE username
    /// fragment and password if there are some, else with the browser's.
    pub(super) fn connect(self: &Rc<Self>, credentials: Option<&str>) -> Rc<Connection> {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        let connection = Rc::new(Connection::new(id, self.clone()));
        self.connections.borrow_mut().insert(id, Rc::downgrade(&connection));
        self.post(&ToPage::Connect { connection: id, credentials });
        connection
    }

    pub(super) fn forget(&self, id: u32) {
        self.connections.borrow_mut().remove(&id);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.port.set_onmessage(None);
    }
}
