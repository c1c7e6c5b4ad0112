//! A browser's clock, timers and event loop. Works in workers, pages and Node alike: only globals that all have.

use std::{cell::RefCell, collections::VecDeque, future::Future, pin::Pin, rc::Rc, time::Duration};

use futures::channel::oneshot;
use send_wrapper::SendWrapper;
use shoal_node::Platform;
use wasm_bindgen::prelude::*;
use web_sys::{MessageChannel, MessagePort};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// The clock of [`BrowserPlatform`].
pub(crate) fn now() -> Duration {
    Duration::from_secs_f64(performance_now() / 1000.0)
}

/// The platform of a tab.
#[derive(Clone)]
pub(crate) struct BrowserPlatform {
    turns: SendWrapper<Rc<Turns>>,
}

impl BrowserPlatform {
    pub(crate) fn new() -> Self {
        Self { turns: SendWrapper::new(Rc::new(Turns::new())) }
    }
}

impl Platform for BrowserPlatform {
    fn now(&self) -> Duration {
        now()
    }

    fn unix_time_s(&self) -> u64 {
        (js_sys::Date::now() / 1000.0) as u64
    }

    async fn sleep(&self, duration: Duration) {
        futures_timer::Delay::new(duration).await;
    }

    async fn yield_now(&self) {
        self.turns.next().await;
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        wasm_bindgen_futures::spawn_local(task);
    }
}

/// Turns of the event loop, by messages to itself: timers would wait at least 4 ms each, and promises alone would let
/// no message of the page in.
struct Turns {
    sender: MessagePort,
    receiver: MessagePort,
    waiting: Rc<RefCell<VecDeque<oneshot::Sender<()>>>>,
    _on_message: Closure<dyn FnMut()>,
}

impl Turns {
    fn new() -> Self {
        let channel = MessageChannel::new().expect("every engine that runs WebAssembly has message channels");
        let waiting: Rc<RefCell<VecDeque<oneshot::Sender<()>>>> = Rc::default();
        let woken = waiting.clone();
        let on_message = Closure::<dyn FnMut()>::new(move || {
            let next = woken.borrow_mut().pop_front();
            // Whoever asked may have gone away.
            let _ = next.map(|sender| sender.send(()));
        });
        let (sender, receiver) = (channel.port1(), channel.port2());
        receiver.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        Self { sender, receiver, waiting, _on_message: on_message }
    }

    async fn next(&self) {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push_back(sender);
        self.sender.post_message(&JsValue::NULL).expect("null can be posted");
        // The sender stays in the queue until its message arrives.
        let _ = receiver.await;
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        // An open port would keep Node alive.
        self.receiver.set_onmessage(None);
        self.receiver.close();
        self.sender.close();
    }
}
