//! Keys of leases: what a worker shows at the HTTP routes, where it has no connection that
//! would tell who it is. Made of the epoch and a secret of this server, so nothing of them is
//! stored.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Makes and checks the keys of leases.
pub struct LeaseKeys([u8; 32]);

impl LeaseKeys {
    /// Keys made with a secret of 256 random bits.
    pub const fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The key of a lease.
    pub(super) fn of(&self, epoch: u64) -> String {
        hex::encode(self.mac(epoch).finalize().into_bytes())
    }

    /// Whether a text is the key of a lease. Takes the same time whatever the text is.
    pub(super) fn fits(&self, epoch: u64, key: &str) -> bool {
        hex::decode(key).is_ok_and(|key| self.mac(epoch).verify_slice(&key).is_ok())
    }

    fn mac(&self, epoch: u64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(&epoch.to_be_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_fits_its_own_lease_on_its_own_server() {
        let keys = LeaseKeys::new([7; 32]);
        let key = keys.of(5);
        assert!(keys.fits(5, &key));
        assert!(!keys.fits(6, &key), "another lease");
        assert!(!LeaseKeys::new([8; 32]).fits(5, &key), "another server");
        for wrong in ["", "zz", &key[2..], &key.replace('a', "b").replace('1', "2")] {
            assert!(!keys.fits(5, wrong), "{wrong}");
        }
    }
}
