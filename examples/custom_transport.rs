//! A host brings its own transport: two nodes learn from each other over UDP sockets on loopback.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use qis::memory::MemoryDirectory;
use qis::{Address, Domain, Frame, HostError, HostErrorKind, Identity, Node, Transport, async_trait};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// One frame is one datagram; an address is what a socket address looks like.
#[derive(Debug)]
struct Udp {
    socket: Arc<UdpSocket>,
    local: Address,
}

#[async_trait]
impl Transport for Udp {
    fn local_address(&self) -> Address {
        self.local.clone()
    }

    async fn send(&self, to: &Address, frame: &[u8], allowed: Duration) -> Result<(), HostError> {
        let to: SocketAddr =
            to.as_str().parse().map_err(|error| HostError::new(HostErrorKind::Refused, error))?;
        match timeout(allowed, self.socket.send_to(frame, to)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(HostError::new(HostErrorKind::Unavailable, error)),
            Err(error) => Err(HostError::new(HostErrorKind::Timeout, error)),
        }
    }
}

/// Inbound frames are a method call; the host owns its listener.
async fn listen(socket: Arc<UdpSocket>, node: Node) -> Result<(), Box<dyn Error + Send + Sync>> {
    // A byte more than a frame has, so that a longer datagram is seen to be too long.
    let mut buffer = vec![0; Frame::MAX_BYTES + 1];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await?;
        node.receive(&from.to_string().parse()?, &buffer[..len]);
    }
}

async fn clinic(directory: &MemoryDirectory) -> Result<Node, Box<dyn Error>> {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
    let local = socket.local_addr()?.to_string().parse()?;
    let node = Node::builder()
        .identity(Identity::generate()?)
        .transport(Udp { socket: Arc::clone(&socket), local })
        .directory(directory.clone())
        .domain(Domain::delta("cardiology/heart", 3)?)
        .start()
        .await?;
    tokio::spawn(listen(socket, node.clone()));
    Ok(node)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = MemoryDirectory::default();
    let (a, b) = (clinic(&directory).await?, clinic(&directory).await?);

    for (node, outcome) in [(&a, [0.9, -0.3, 0.1]), (&b, [0.5, 0.1, 0.1])] {
        let receipt = node.emit("cardiology/heart", outcome).confidence(0.8).await?;
        for recipient in &receipt.recipients {
            println!("{} -> {}: {:?}", node.address(), recipient.address, recipient.delivery);
        }
    }
    for node in [&a, &b] {
        println!("\n{} synthesises", node.address());
        println!("{}", node.synthesize("cardiology/heart").await?);
    }
    Ok(())
}

/// `cargo test --example custom_transport`: the conformance kit has a suite for transports.
#[cfg(test)]
mod tests {
    use qis_conformance::transport::{Inbox, Suite};

    use super::*;

    async fn receive(socket: Arc<UdpSocket>, inbox: Inbox) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut buffer = vec![0; Frame::MAX_BYTES + 1];
        loop {
            let (len, from) = socket.recv_from(&mut buffer).await?;
            inbox.receive(&from.to_string().parse()?, &buffer[..len]);
        }
    }

    #[test]
    fn it_keeps_to_the_trait() -> Result<(), Box<dyn Error>> {
        let open = async |inbox: Inbox| {
            let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
            let local = socket.local_addr()?.to_string().parse()?;
            let mut listener = tokio::task::JoinSet::new();
            listener.spawn(receive(Arc::clone(&socket), inbox));
            Ok::<_, Box<dyn Error + Send + Sync>>((Udp { socket, local }, listener))
        };
        let runtime = tokio::runtime::Runtime::new()?;
        Suite::new(open).never_an_address("localhost").run(move |checks| runtime.block_on(checks))?;
        Ok(())
    }
}
