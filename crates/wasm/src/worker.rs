//! The worker as an opaque handle.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use libp2p::{
    Transport as _,
    core::{muxing::StreamMuxerBox, transport::OptionalTransport},
};
use serde::Serialize as _;
use shoal_node::{BoxedTransport, Devices, Event, Storage, WorkerHandle};
use shoal_transport::{
    peer,
    race::{Kind, Race, limits::TAB_HEAD_START},
    webrtc::browser,
    websocket,
};
use wasm_bindgen::prelude::*;
use web_sys::MessagePort;

use crate::{
    config::{CoreConfig, Limits},
    error::Failure,
    gpu::{self, Gpu},
    http::FetchHttp,
    platform::{self, BrowserPlatform},
    storage::{OpfsStorage, quota},
};

/// Folder of the cache in the private file system. The page's half of the package removes it by this name.
const FOLDER: &str = "shoal-cache";

/// The cache takes at most one part in so many of what the browser grants: the site has things of its own to store.
const QUOTA_PART: u64 = 4;

/// 32 random bytes for a new node identity; the caller keeps them.
#[wasm_bindgen(js_name = generateSeed)]
pub fn generate_seed() -> Result<Vec<u8>, JsValue> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Failure::Random(error.to_string()))?;
    Ok(seed.to_vec())
}

/// A worker. Start it once; the promise of `start` settles when it has ended.
#[wasm_bindgen]
#[derive(Default)]
pub struct Worker {
    started: Cell<bool>,
    stopped: Cell<bool>,
    paused: Cell<bool>,
    share: Cell<Option<f64>>,
    limits: Cell<Option<Limits>>,
    /// Most bytes that may be stored here, whatever is asked for.
    storable: Cell<u64>,
    handle: RefCell<Option<WorkerHandle>>,
}

#[wasm_bindgen]
impl Worker {
    /// A worker that does nothing yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        console_error_panic_hook::set_once();
        Self::default()
    }

    /// Works until stopped. `rtc` leads to the page's half of WebRTC, if there is one; `on_event` is called with plain
    /// objects.
    pub async fn start(
        &self,
        config: JsValue,
        rtc: Option<MessagePort>,
        on_event: js_sys::Function,
    ) -> Result<(), JsValue> {
        if self.started.replace(true) {
            return Err(Failure::StartedBefore.into());
        }
        let config = CoreConfig::from_object(config)?;
        let gpu = if config.use_gpu { tested_gpu().await } else { None };
        let first = config.first_transport()?;
        let mut config = config.into_worker_config()?;
        self.storable.set(quota().await.map_or(u64::MAX, |bytes| bytes / QUOTA_PART));
        config.stored_bytes = config.stored_bytes.min(self.storable.get());
        let storage = storage().await;
        let transport = transport(rtc, &config.seed, first);
        let emit = move |event: Event| emit(&on_event, &event);
        let made = shoal_node::Worker::new(config, BrowserPlatform::new(), transport, Devices::with_gpu(gpu), emit);
        let (worker, handle) = made.map_err(Failure::from)?;
        let worker = worker.with_http(Rc::new(FetchHttp));
        let worker = if let Some(storage) = storage { worker.with_storage(storage) } else { worker };
        // What was asked for while the GPU was being tested.
        handle.set_paused(self.paused.get());
        if let Some(share) = self.share.get() {
            handle.set_throttle(share);
        }
        if let Some(limits) = self.limits.get() {
            self.limit(&handle, limits)?;
        }
        if self.stopped.get() {
            handle.stop();
        }
        self.handle.replace(Some(handle));
        worker.run().await.map_err(|error| Failure::from(error).into())
    }

    /// Stops: computing ends at once, leases go back, committed results are waited for briefly. Twice: at once.
    pub fn stop(&self) {
        self.stopped.set(true);
        self.steer(WorkerHandle::stop);
    }

    /// Pauses computing between steps, or goes on.
    #[wasm_bindgen(js_name = setPaused)]
    pub fn set_paused(&self, paused: bool) {
        self.paused.set(paused);
        self.steer(|handle| handle.set_paused(paused));
    }

    /// Sets the share of the time spent computing, 0 to 1.
    #[wasm_bindgen(js_name = setShare)]
    pub fn set_share(&self, share: f64) {
        self.share.set(Some(share));
        self.steer(|handle| handle.set_throttle(share));
    }

    /// Sets what is kept and how much is moved: `{stored_bytes, max_down, max_up}`.
    #[wasm_bindgen(js_name = setLimits)]
    pub fn set_limits(&self, limits: JsValue) -> Result<(), JsValue> {
        let limits = Limits::from_object(limits)?;
        self.limits.set(Some(limits));
        if let Some(handle) = &*self.handle.borrow() {
            self.limit(handle, limits)?;
        }
        Ok(())
    }

    /// How it is connected, as `shoal_node::ConnectionReport` says; null while it is not.
    pub fn connection(&self) -> JsValue {
        let handle = self.handle.borrow();
        let report = handle.as_ref().and_then(|handle| handle.connection(platform::now()));
        report.map_or(JsValue::NULL, |report| {
            report.serialize(&serializer()).expect("a report is numbers, texts and lists")
        })
    }
}

impl Worker {
    fn limit(&self, handle: &WorkerHandle, limits: Limits) -> Result<(), Failure> {
        handle.set_rates(limits.max_down, limits.max_up)?;
        handle.set_stored_bytes(limits.stored_bytes.min(self.storable.get()));
        Ok(())
    }

    fn steer(&self, command: impl FnOnce(&WorkerHandle)) {
        if let Some(handle) = &*self.handle.borrow() {
            command(handle);
        }
    }
}

/// Where blobs are kept for the next visit, where the browser has such a place.
async fn storage() -> Option<Box<dyn Storage>> {
    match OpfsStorage::open(FOLDER).await {
        Ok(storage) => Some(Box::new(storage)),
        Err(reason) => {
            web_sys::console::info_1(&format!("shoal: nothing is kept for the next visit: {reason}").into());
            None
        }
    }
}

async fn tested_gpu() -> Option<Gpu> {
    match gpu::tested().await {
        Ok(gpu) => Some(gpu),
        Err(reason) => {
            web_sys::console::info_1(&format!("shoal: no GPU, exact units only: {reason}").into());
            None
        }
    }
}

/// WebRTC raced with WebSocket. Without page (`rtc` is null where the browser has no WebRTC) WebSocket alone is tried.
fn transport(rtc: Option<MessagePort>, seed: &[u8; 32], first: Kind) -> BoxedTransport {
    let identity = peer::keypair(seed);
    let websocket = websocket::browser::transport(&identity);
    let webrtc = rtc.map(|port| browser::Transport::new(port, identity));
    let webrtc = webrtc
        .map_or_else(OptionalTransport::none, OptionalTransport::some)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let both = webrtc.or_transport(websocket).map(|either, _| either.into_inner()).boxed();
    Race::new(both, first, TAB_HEAD_START).boxed()
}

/// Large numbers stay numbers: no session counts to 2^53.
fn serializer() -> serde_wasm_bindgen::Serializer {
    serde_wasm_bindgen::Serializer::json_compatible()
}

fn emit(on_event: &js_sys::Function, event: &Event) {
    let object = match event.serialize(&serializer()) {
        Ok(object) => object,
        Err(error) => {
            web_sys::console::error_1(&format!("shoal: an event was lost: {error}").into());
            return;
        }
    };
    if let Err(thrown) = on_event.call1(&JsValue::NULL, &object) {
        web_sys::console::error_2(&"shoal: the event callback threw".into(), &thrown);
    }
}
