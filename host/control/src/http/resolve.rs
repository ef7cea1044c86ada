//! Names, and only the addresses behind them that may be reached.

use hyper_util::client::legacy::connect::dns::Name;
use slipway_domain::address::Reach;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// An address that may not be reached.
#[derive(Debug, thiserror::Error)]
#[error("{address} is of a private network")]
pub(super) struct Refused {
    pub(super) address: IpAddr,
}

/// What stands for the system in tests.
#[cfg(test)]
type Answers = Arc<dyn Fn(&str) -> Vec<IpAddr> + Send + Sync>;

/// Asks the system, and passes on what may be reached. It is what the connector connects to, so no
/// name can lead elsewhere between the check and the connection.
#[derive(Clone)]
pub(super) struct Resolver {
    reach: Arc<Reach>,
    #[cfg(test)]
    answers: Option<Answers>,
}

impl Resolver {
    pub(super) fn new(reach: Reach) -> Self {
        Self {
            reach: Arc::new(reach),
            #[cfg(test)]
            answers: None,
        }
    }

    #[cfg(test)]
    pub(super) fn answering(reach: Reach, answer: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Self {
        Self { reach: Arc::new(reach), answers: Some(Arc::new(answer)) }
    }

    async fn lookup(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        #[cfg(test)]
        if let Some(answers) = &self.answers {
            return Ok(answers(name).into_iter().map(|address| SocketAddr::new(address, 0)).collect());
        }
        Ok(tokio::net::lookup_host((name, 0)).await?.collect())
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.lookup(name.as_str()).await?;
            let refused = found.iter().find(|address| !resolver.reach.allows(address.ip())).map(SocketAddr::ip);
            match refused {
                // One wrong address among good ones is as bad: the next try might take it.
                Some(address) => Err(io::Error::new(io::ErrorKind::PermissionDenied, Refused { address })),
                None if found.is_empty() => Err(io::Error::new(io::ErrorKind::NotFound, "it has no address")),
                None => Ok(found.into_iter()),
            }
        })
    }
}
