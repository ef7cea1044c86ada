//! Who may call: tokens, compared by their hash.

use super::problem::Problem;
use crate::store::{Store, Write};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything of the API.
    Admin,
    /// Take leases.
    Worker,
}

impl Role {
    /// The word in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Worker => "worker",
        }
    }
}

/// The caller, as the records name it.
#[derive(Debug, Clone)]
pub struct Caller(pub String);

/// The hash under which a token is known. A plain hash is enough: a token has 256 random
/// bits, so there is nothing to guess.
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// The tokens that are accepted. Looked up by hash, so the time that takes tells nothing
/// about a token.
#[derive(Clone)]
pub struct Tokens {
    store: Store,
    /// Those of this process, and those found in the store.
    known: Arc<RwLock<HashMap<String, (String, Role)>>>,
}

impl Tokens {
    /// The tokens of a store.
    pub fn new(store: Store) -> Self {
        Self { store, known: Arc::default() }
    }

    /// Accepts a token for as long as this process runs.
    pub fn accept(&self, token: &str, name: &str, role: Role) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(hash(token), (name.to_owned(), role));
    }

    /// The write that accepts a token from now on.
    pub fn write(token: &str, name: &str, role: Role) -> Write {
        Write::Token { hash: hash(token), name: name.to_owned(), role: role.as_str(), at: crate::clock::now() }
    }

    /// Who holds a token.
    async fn find(&self, token: &str) -> Result<Option<(String, Role)>, sqlx::Error> {
        let hash = hash(token);
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&hash) {
            return Ok(Some(known.clone()));
        }
        let Some((name, role)) = self.store.token_role(&hash).await? else { return Ok(None) };
        let role = match role.as_str() {
            "admin" => Role::Admin,
            "worker" => Role::Worker,
            _ => return Ok(None),
        };
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(hash, (name.clone(), role));
        Ok(Some((name, role)))
    }

    async fn require(&self, request: &mut Request, wanted: Role) -> Result<(), Problem> {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
        let Some(token) = token.filter(|token| token.len() <= 200) else {
            return Err(Problem::unauthorized("this takes a token").hint(
                "send `Authorization: Bearer <token>`; the first token is in the file `token` of the data folder",
            ));
        };
        match self.find(token).await.map_err(Problem::from)? {
            Some((name, role)) if role == wanted => {
                request.extensions_mut().insert(Caller(name));
                Ok(())
            }
            Some(_) => Err(Problem::forbidden("this token is not for that")),
            None => Err(Problem::unauthorized("this token is not known here")),
        }
    }
}

pub(super) async fn require_admin(State(tokens): State<Tokens>, mut request: Request, next: Next) -> Response {
    match tokens.require(&mut request, Role::Admin).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

pub(super) async fn require_worker(State(tokens): State<Tokens>, mut request: Request, next: Next) -> Response {
    match tokens.require(&mut request, Role::Worker).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}
