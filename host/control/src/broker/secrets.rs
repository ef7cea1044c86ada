//! `secrets`: what a stage may point at, and, rarely, see.

use super::{Broker, Done, audit, named};
use crate::scheduler::CallContext;
use crate::secrets::Error;
use slipway_domain::SecretName;
use slipway_protocol::Reply;
use slipway_protocol::outcome::Failure;
use slipway_protocol::secret::Confidential;

impl Broker {
    /// The value of a secret that a stage may use, for the place where it is used.
    pub(super) async fn secret(&self, context: &CallContext, name: &SecretName) -> Result<Confidential, Failure> {
        let definition = &context.pipeline.checked.definition;
        let environment = context.pipeline.stage(&context.stage).and_then(|stage| stage.environment.as_deref());
        self.secrets.value(&definition.name, environment, name).await.map_err(|error| match error {
            Error::Unknown(_) => Failure::new(
                "unknown-secret",
                format!("secret `{name}` is not set: `slipway secret set {} {name}`", definition.name),
            ),
            Error::UnknownPipeline(_)
            | Error::Size(_)
            | Error::TooMany
            | Error::Vault(_)
            | Error::Store(_)
            | Error::Read(_) => {
                tracing::error!(%error, "a secret cannot be used");
                Failure::new("host", format!("secret `{name}` cannot be used: {error}"))
            }
        })
    }
}

/// Tells whether a secret can be used at all.
pub(super) async fn open(broker: &Broker, context: &CallContext, name: &str) -> Done {
    match value(broker, context, name).await {
        Ok(_) => Done::reply(Reply::Done),
        Err(failure) => Done::reply(Reply::Refused(failure)),
    }
}

/// Gives a stage a value. That is on the audit.
pub(super) async fn read(broker: &Broker, context: &CallContext, name: &str) -> Done {
    let value = match value(broker, context, name).await {
        Ok(value) => value,
        Err(failure) => return Done::reply(Reply::Refused(failure)),
    };
    let object = format!("secret `{}` of pipeline `{}`", name.escape_debug(), context.pipeline_name);
    let audit = audit(context, "secrets.read", &object, "done");
    Done { writes: vec![audit], ..Done::reply(Reply::Secret { value }) }
}

async fn value(broker: &Broker, context: &CallContext, name: &str) -> Result<Confidential, Failure> {
    broker.secret(context, &named(SecretName::new(name))?).await
}
