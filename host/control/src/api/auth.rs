//! Who may call: tokens, compared by their hash.

use super::problem::Problem;
use crate::children::EMBEDDED;
use crate::store::rows::TokenRow;
use crate::store::{CommitError, Store, Write};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything of the API.
    Admin,
    /// Look at everything of the API but tokens.
    Reader,
    /// Take leases.
    Worker,
}

impl Role {
    /// The word in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Reader => "reader",
            Self::Worker => "worker",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Admin, Self::Reader, Self::Worker].into_iter().find(|role| role.as_str() == word)
    }
}

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Role admin, or reader for what changes nothing.
    User,
    Admin,
    Worker,
}

impl Wanted {
    fn admits(self, role: Role, method: &Method) -> bool {
        match (self, role) {
            (Self::User | Self::Admin, Role::Admin) | (Self::Worker, Role::Worker) => true,
            (Self::User, Role::Reader) => matches!(*method, Method::GET | Method::HEAD),
            (Self::User | Self::Admin, Role::Worker)
            | (Self::Admin, Role::Reader)
            | (Self::Worker, Role::Admin | Role::Reader) => false,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::User | Self::Admin => "a token of role `admin`",
            Self::Worker => "a token of role `worker`",
        }
    }
}

/// The caller, as the records name it.
#[derive(Debug, Clone)]
pub struct Caller(pub String);

/// Cancelled once the caller's token is revoked: whoever keeps a connection open ends it then.
#[derive(Debug, Clone)]
pub struct Revoked(pub CancellationToken);

/// The hash under which a token is known. A plain hash is enough: a token has 256 random
/// bits, so there is nothing to guess.
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// A new token of 256 random bits.
pub fn new_token() -> String {
    format!("slw_{}", crate::private::secret())
}

/// Why a token was not made or not revoked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unmade {
    /// Another has the name.
    #[error("there is a token `{0}` already")]
    Taken(String),
    /// There is none.
    #[error("there is no token `{0}`")]
    Unknown(String),
    /// Nobody could do anything any more.
    #[error("token `{0}` is the last one of role `admin`")]
    LastAdmin(String),
    /// The store.
    #[error("the store cannot be written")]
    Store(#[from] CommitError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Read(#[from] sqlx::Error),
}

/// The tokens that are accepted. Looked up by hash, so the time that takes tells nothing
/// about a token.
#[derive(Clone)]
pub struct Tokens {
    store: Store,
    /// Those of this process, and those found in the store.
    known: Arc<RwLock<HashMap<String, Known>>>,
    /// Held from a look into the store to what follows from it, so that a token that is
    /// being revoked is not remembered meanwhile.
    changing: Arc<Mutex<()>>,
}

#[derive(Clone)]
struct Known {
    name: String,
    role: Role,
    revoked: CancellationToken,
}

impl Tokens {
    /// The tokens of a store.
    pub fn new(store: Store) -> Self {
        Self { store, known: Arc::default(), changing: Arc::default() }
    }

    /// Accepts a token for as long as this process runs: that of its own worker. No token in
    /// the store has its name, which workers are told apart by.
    pub fn accept_worker(&self, token: &str) {
        self.remember(hash(token), EMBEDDED.to_owned(), Role::Worker);
    }

    /// The write that accepts a token from now on.
    pub fn write(token: &str, name: &str, role: Role) -> Write {
        Write::Token { hash: hash(token), name: name.to_owned(), role: role.as_str(), at: crate::clock::now() }
    }

    /// Makes a token and returns it. When this returns, it is durable.
    pub(super) async fn make(&self, name: &str, role: Role) -> Result<String, Unmade> {
        let _changing = self.changing.lock().await;
        if name == EMBEDDED || self.store.tokens().await?.iter().any(|row| row.name == name) {
            return Err(Unmade::Taken(name.to_owned()));
        }
        let token = new_token();
        self.store.try_commit(vec![Self::write(&token, name, role)]).await?;
        Ok(token)
    }

    /// Revokes a token by its name. When this returns, nobody is let in by it.
    pub(super) async fn revoke(&self, name: &str) -> Result<TokenRow, Unmade> {
        let _changing = self.changing.lock().await;
        let rows = self.store.tokens().await?;
        let admins = rows.iter().filter(|row| row.role == Role::Admin.as_str()).count();
        let row = rows.into_iter().find(|row| row.name == name).ok_or_else(|| Unmade::Unknown(name.to_owned()))?;
        if row.role == Role::Admin.as_str() && admins == 1 {
            return Err(Unmade::LastAdmin(name.to_owned()));
        }
        self.store.try_commit(vec![Write::TokenRevoked { hash: row.hash.clone() }]).await?;
        let known = self.known.write().unwrap_or_else(PoisonError::into_inner).remove(&row.hash);
        if let Some(known) = known {
            known.revoked.cancel();
        }
        Ok(row)
    }

    fn remember(&self, hash: String, name: String, role: Role) -> Known {
        let known = Known { name, role, revoked: CancellationToken::new() };
        self.known.write().unwrap_or_else(PoisonError::into_inner).entry(hash).or_insert(known).clone()
    }

    /// Who holds a token.
    async fn find(&self, token: &str) -> Result<Option<Known>, sqlx::Error> {
        let hash = hash(token);
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&hash) {
            return Ok(Some(known.clone()));
        }
        let _changing = self.changing.lock().await;
        let Some((name, role)) = self.store.token_role(&hash).await? else { return Ok(None) };
        Ok(Role::parse(&role).map(|role| self.remember(hash, name, role)))
    }

    async fn require(&self, request: &mut Request, wanted: Wanted) -> Result<(), Problem> {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
        let Some(token) = token.filter(|token| token.len() <= 200) else {
            return Err(Problem::unauthorized("this takes a token").hint(
                "send `Authorization: Bearer <token>`; the first token is in the file `token` of the data folder",
            ));
        };
        match self.find(token).await.map_err(Problem::from)? {
            Some(known) if wanted.admits(known.role, request.method()) => {
                request.extensions_mut().insert(Caller(known.name));
                request.extensions_mut().insert(Revoked(known.revoked));
                Ok(())
            }
            Some(known) => {
                let message = format!("token `{}` has role `{}` and is not for that", known.name, known.role.as_str());
                Err(Problem::forbidden(&message).hint(format!("this takes {}", wanted.words())))
            }
            None => Err(Problem::unauthorized("this token is not known here")),
        }
    }

    async fn admit(&self, wanted: Wanted, mut request: Request, next: Next) -> Response {
        match self.require(&mut request, wanted).await {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    }
}

pub(super) async fn require_user(State(tokens): State<Tokens>, request: Request, next: Next) -> Response {
    tokens.admit(Wanted::User, request, next).await
}

pub(super) async fn require_admin(State(tokens): State<Tokens>, request: Request, next: Next) -> Response {
    tokens.admit(Wanted::Admin, request, next).await
}

pub(super) async fn require_worker(State(tokens): State<Tokens>, request: Request, next: Next) -> Response {
    tokens.admit(Wanted::Worker, request, next).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_its_own_part_and_no_more() {
        let all = [Role::Admin, Role::Reader, Role::Worker];
        let admitted = |wanted: Wanted, method: Method| all.map(|role| wanted.admits(role, &method));
        assert_eq!(admitted(Wanted::User, Method::GET), [true, true, false]);
        assert_eq!(admitted(Wanted::User, Method::POST), [true, false, false]);
        assert_eq!(admitted(Wanted::Admin, Method::GET), [true, false, false]);
        assert_eq!(admitted(Wanted::Worker, Method::GET), [false, false, true]);
        for role in all {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
    }
}
