//! A request that a guest wants sent, and its answer.

use crate::secret::bytes;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The headers, in order.
    pub headers: Vec<HttpHeader>,
    /// The body.
    pub body: HttpBody,
    /// How long all of it may take, in milliseconds.
    pub within_ms: u32,
}

/// A header. Secrets are named; their values are control's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpHeader {
    /// As it is.
    Plain {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// With a secret for its value.
    Secret {
        /// Its name.
        name: String,
        /// What stands before the secret.
        prefix: String,
        /// The secret's name.
        secret: String,
    },
    /// `authorization` by the scheme Basic (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// The name of the secret that is the password.
        secret: String,
    },
}

impl HttpHeader {
    /// How much a guest has given for it, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Plain { name, value } => name.len() + value.len(),
            Self::Secret { name, prefix, secret } => name.len() + prefix.len() + secret.len(),
            Self::Basic { user, secret } => user.len() + secret.len(),
        }
    }

    /// The name of the secret in it.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Plain { .. } => None,
            Self::Secret { secret, .. } | Self::Basic { secret, .. } => Some(secret),
        }
    }
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpBody {
    /// These bytes. As JSON, which journals hold, only their digest and number.
    Bytes(#[serde(serialize_with = "digest_or_bytes", deserialize_with = "bytes::deserialize")] Vec<u8>),
    /// An artifact, by its digest.
    Artifact(String),
}

fn digest_or_bytes<S: Serializer>(body: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        let digest = hex::encode(Sha256::digest(body));
        serializer.serialize_str(&format!("{} bytes, sha256:{digest}", body.len()))
    } else {
        serializer.serialize_bytes(body)
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(with = "bytes")]
    pub body: Vec<u8>,
    /// Where it came from.
    pub url: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{decode, encode};

    #[test]
    fn a_body_travels_whole_and_is_journalled_by_its_digest() {
        let body = HttpBody::Bytes(b"a=b".to_vec());
        assert_eq!(decode::<HttpBody>(&encode(&body)).unwrap(), body);
        let json = serde_json::to_string(&body).unwrap();
        assert!(json.contains("3 bytes, sha256:") && !json.contains("a=b"), "{json}");
    }

    #[test]
    fn an_answer_is_journalled_whole() {
        let response =
            HttpResponse { status: 200, headers: vec![("a".into(), "b".into())], body: vec![0, 255], url: "u".into() };
        assert_eq!(decode::<HttpResponse>(&encode(&response)).unwrap(), response);
        let json = serde_json::to_string(&response).unwrap();
        assert_eq!(serde_json::from_str::<HttpResponse>(&json).unwrap(), response);
    }
}
