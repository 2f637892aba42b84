//! A server on a thread and a runtime of its own: it answers, or hangs, independently of the test's runtime.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// All connections close when this value is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on a free loopback port, and serves connections concurrently.
    pub(crate) fn start<F>(name: &str, serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime can be made");
                runtime.block_on(async move {
                    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
                    let listener = listener.expect("a loopback port can be bound");
                    let address = listener.local_addr().expect("a listener has an address");
                    bound.send(address).expect("the starter waits for it");
                    tokio::select! {
                        () = accept(listener, serve) => {}
                        _ = stopped => {}
                    }
                });
            })
            .expect("a thread can be started");
        let address = address.recv().expect("the server says where it listens");
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Most likely file descriptors are exhausted; some will be free again soon.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // A reply is one small packet; Nagle's algorithm would delay the packet.
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve(stream));
    }
}
