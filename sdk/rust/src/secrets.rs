//! Secrets by handle: a stage points at a secret, the host uses it: in a header of a request
//! ([`crate::http`]), or for a program ([`crate::tools::Command::secret_env`]).

use crate::Failure;
#[cfg(target_arch = "wasm32")]
use crate::host::Host as _;
use crate::host::{self, SecretHandle};

/// Takes hold of a secret by name.
///
/// # Errors
/// Fails with `not-granted` or `unknown-secret`.
pub fn open(name: &str) -> Result<Secret, Failure> {
    Ok(Secret { handle: host::with(|host| host.secrets_open(name))? })
}

/// A secret that this stage may use.
pub struct Secret {
    pub(crate) handle: Box<dyn SecretHandle>,
}

impl Secret {
    /// Returns the name under which it is kept.
    #[must_use]
    pub fn name(&self) -> String {
        self.handle.name()
    }

    /// Returns the value itself, for the rare stage that cannot do without. It takes a grant of its
    /// own, which pipeline, plugin and operator have to give.
    ///
    /// # Errors
    /// Fails with `not-granted` or `unknown-secret`.
    pub fn read(&self) -> Result<Vec<u8>, Failure> {
        self.handle.read()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Secret").finish_non_exhaustive()
    }
}
