//! A native worker on a thread of its own, as `shoal work` runs one.

use std::thread;

use shoal_node::{ConnectionReport, Devices, TokioPlatform, Worker, WorkerConfig, WorkerHandle, tcp_transport};
use shoal_wire::{ids::NodeId, proto::Class};

use super::Api;

/// A running worker; stopped when dropped.
pub struct TestWorker {
    pub node: NodeId,
    handle: WorkerHandle,
    thread: Option<thread::JoinHandle<()>>,
}

impl TestWorker {
    pub fn start(api: &Api, seed: u8) -> Self {
        Self::start_with(api, seed, |_| ())
    }

    pub fn start_with(api: &Api, seed: u8, edit: impl FnOnce(&mut WorkerConfig)) -> Self {
        let join = &api.ready.join;
        let addresses = join.addresses.iter().filter(|address| address.contains("/tcp/"));
        let mut config = WorkerConfig::new([seed; 32], addresses.map(|a| a.parse().unwrap()).collect());
        config.network.clone_from(&join.network);
        config.classes = vec![Class::Exact, Class::Tolerant];
        edit(&mut config);
        let (sender, started) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let work = async {
                let transport =
                    tcp_transport(&Worker::<TokioPlatform, shoal_compute::CpuBackend>::keypair(&config.seed));
                let on_event = |event| tracing::debug!(?event, "worker");
                let (worker, handle) =
                    Worker::new(config, TokioPlatform::new(), transport, Devices::cpu(), on_event).unwrap();
                sender.send((worker.node_id(), handle)).unwrap();
                worker.run().await.unwrap();
            };
            tokio::task::LocalSet::new().block_on(&runtime, work);
        });
        let (node, handle) = started.recv().unwrap();
        Self { node, handle, thread: Some(thread) }
    }

    /// Its connection as it sees it itself.
    pub fn connection(&self) -> Option<ConnectionReport> {
        self.handle.connection(std::time::Duration::ZERO)
    }

    /// Stops it politely.
    pub fn stop(mut self) {
        self.handle.stop();
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for TestWorker {
    fn drop(&mut self) {
        self.handle.stop();
        self.handle.stop();
        if let Some(thread) = self.thread.take()
            && !thread::panicking()
        {
            let _ = thread.join();
        }
    }
}
