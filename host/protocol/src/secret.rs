//! Values that only the wire carries: never a journal, a log or a message for people.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

/// What stands in place of a value wherever people could read it.
pub const REDACTED: &str = "[redacted]";

/// The value of a secret. On the wire, which is binary, it is itself; as JSON and in messages it is
/// [`REDACTED`], and what is read from JSON is refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Confidential(Zeroizing<Vec<u8>>);

impl Confidential {
    /// Takes a value.
    pub fn new(value: Vec<u8>) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself, for the place where it is used.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Confidential {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(REDACTED)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Confidential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(bytes::Bytes { of_text: |_| None }).map(Self::new)
    }
}

/// A secret for a tool, and how the tool gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolSecret<T> {
    /// In the request the secret's name, in the plan its value.
    pub secret: T,
    /// How.
    pub place: Place,
}

/// How a tool gets a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// As a variable of the environment.
    Env(String),
    /// As a file of this name.
    File(String),
    /// On standard input.
    Stdin,
}

/// Bytes: on the wire as bytes, as JSON in base 64.
pub(crate) mod bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::{Error, SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};
    use std::fmt;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(bytes))
        } else {
            serializer.serialize_bytes(bytes)
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_any(Bytes { of_text: |text| STANDARD.decode(text).ok() })
    }

    /// Takes bytes in any form. Whether the format is one for people it does not ask: inside of an
    /// enum that is known by a field, every format says that it is.
    pub(super) struct Bytes {
        /// What a text stands for.
        pub(super) of_text: fn(&str) -> Option<Vec<u8>>,
    }

    impl<'de> Visitor<'de> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
            (self.of_text)(text).ok_or_else(|| E::custom("these are no bytes"))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u8>, A::Error> {
            let mut bytes = Vec::new();
            while let Some(byte) = list.next_element()? {
                bytes.push(byte);
            }
            Ok(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidential_value_is_on_the_wire_and_nowhere_else() {
        let secret = Confidential::new(b"hunter2-hunter2".to_vec());
        assert_eq!(crate::message::decode::<Confidential>(&crate::message::encode(&secret)).unwrap(), secret);
        assert_eq!(format!("{secret:?}"), "[redacted]");
        let json = serde_json::to_string(&secret).unwrap();
        assert_eq!(json, "\"[redacted]\"");
        assert!(serde_json::from_str::<Confidential>(&json).is_err());
        let reply = crate::Reply::Secret { value: secret };
        assert_eq!(crate::message::decode::<crate::Reply>(&crate::message::encode(&reply)).unwrap(), reply);
        assert!(serde_json::from_str::<crate::Reply>(&serde_json::to_string(&reply).unwrap()).is_err());
    }
}
