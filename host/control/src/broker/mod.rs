//! A guest's calls: the grant is checked first, the journal is written second, the act
//! comes third, the reply is journalled fourth.
//!
//! One file an interface. A grant is checked here and nowhere else.

mod apps;
mod artifacts;
mod http;
mod reports;
mod run;
mod secrets;
mod tools;

use crate::apps::Apps;
use crate::clock;
use crate::config::Config;
use crate::http::Client;
use crate::scheduler::{CallContext, Left, Reports, Scheduler, Taken};
use crate::secrets::Secrets;
use crate::store::rows::AuditRow;
use crate::store::{Store, Ticket, Write};
use slipway_domain::grant::Act;
use slipway_domain::grant::host::is_host;
use slipway_domain::name::InvalidName;
use slipway_domain::text::cut;
use slipway_domain::{AppName, RunId, SecretName, StageName, ToolName};
use slipway_protocol::message::Body;
use slipway_protocol::outcome::Failure;
use slipway_protocol::{Call, FromControl, Reply};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many refusals of a stage the audit tells.
const REFUSALS_TOLD: u32 = 100;

/// The longest time for which a call of a guest goes on outside.
const WITHIN_MAX: Duration = Duration::from_secs(600);

/// The broker. Clones share it.
#[derive(Clone)]
pub struct Broker {
    pub(crate) scheduler: Scheduler,
    pub(crate) store: Store,
    pub(crate) apps: Apps,
    pub(crate) config: Arc<Config>,
    pub(crate) secrets: Secrets,
    pub(crate) http: Client,
}

/// A worker on one of its connections.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// The worker.
    pub worker: String,
    /// The number of the connection.
    pub connection: u64,
    /// The way back.
    pub tell: mpsc::UnboundedSender<FromControl>,
}

/// What a call has come to.
struct Done {
    reply: Reply,
    /// Rows that are written with the reply.
    writes: Vec<Write>,
    /// What the stage has left by it.
    keep: Keep,
}

/// A change of what a stage has left.
enum Keep {
    Nothing,
    Artifact(u64, slipway_protocol::lease::Artifact),
    Output(u64, String, String),
    /// What was reported under a lease now.
    Reported(u64, Reports),
    /// A call was refused for want of a grant.
    Refusal,
}

impl Done {
    const fn reply(reply: Reply) -> Self {
        Self { reply, writes: Vec::new(), keep: Keep::Nothing }
    }

    fn refused(code: &str, message: impl Into<String>) -> Self {
        Self::reply(Reply::Refused(Failure::new(code, message)))
    }
}

impl Keep {
    /// Changes it. A call is decided upon by what was left when it came, and a lease has one call
    /// at a time.
    fn apply(self, left: &mut Left) {
        match self {
            Self::Nothing => {}
            Self::Refusal => left.refused += 1,
            Self::Artifact(epoch, artifact) => left.artifacts.push((epoch, artifact)),
            Self::Output(epoch, name, value) => {
                left.outputs.insert(name, (epoch, value));
            }
            Self::Reported(epoch, more) => {
                let reports = left.reports.entry(epoch).or_default();
                reports.count += more.count;
                reports.bytes = reports.bytes.saturating_add(more.bytes);
            }
        }
    }
}

impl Broker {
    /// Takes what a worker says under a lease. `tell` is the way back to it.
    pub fn frame(&self, from: &Speaker, epoch: u64, seq: u64, body: Body) {
        let tell = &from.tell;
        match self.scheduler.frame(&from.worker, from.connection, epoch, seq, body) {
            Taken::Done => {}
            Taken::Fenced => {
                // The connection may be closing; then there is nobody to tell.
                let _closing = tell.send(FromControl::Fenced { epoch });
            }
            Taken::Act(context, call, journalled) => {
                // What only changes the run's own records is decided at once; the rest, which
                // takes time or reaches outside, does not hold up the connection.
                if let Some(done) = self.decide(&context, &call) {
                    drop(journalled);
                    self.finish(*context, done);
                } else {
                    let broker = self.clone();
                    tokio::spawn(async move { broker.act(*context, &call, Some(journalled)).await });
                }
            }
            Taken::Answered(reply) => {
                // As above.
                let _closing = tell.send(FromControl::Reply { epoch, seq, reply });
            }
            Taken::Before { run, stage, call } => {
                let broker = self.clone();
                let tell = tell.clone();
                tokio::spawn(async move { broker.answer_again(&run, &stage, epoch, seq, &call, &tell).await });
            }
        }
    }

    /// A call that an earlier process has taken: its reply is on the journal, or it is acted
    /// upon again, which every act allows. What counts is the call on the journal.
    async fn answer_again(
        &self,
        run: &RunId,
        stage: &StageName,
        epoch: u64,
        seq: u64,
        call: &Call,
        tell: &mpsc::UnboundedSender<FromControl>,
    ) {
        let (journalled, reply) = match self.store.journalled(run.as_str(), stage.as_str(), epoch, seq).await {
            Ok(stored) => stored.unwrap_or_default(),
            Err(error) => return tracing::error!(%error, "the journal cannot be read"),
        };
        if journalled != self.scheduler.journal_text(epoch, call) {
            tracing::error!(%run, %stage, epoch, seq, "a worker says another call than the one on the journal");
            return self.scheduler.distrust(epoch);
        }
        match reply.and_then(|text| serde_json::from_str(&text).ok()) {
            Some(reply) => {
                // As above.
                let _closing = tell.send(FromControl::Reply { epoch, seq, reply });
            }
            None => {
                if let Some(context) = self.scheduler.again(epoch, seq, call) {
                    self.act(context, call, None).await;
                }
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "every other call that takes time is of `apps`")]
    async fn act(&self, context: CallContext, call: &Call, journalled: Option<Ticket>) {
        // Nothing outside may change before it is known that it was asked for.
        let again = journalled.is_none();
        if let Some(journalled) = journalled
            && let Err(error) = journalled.durable().await
        {
            tracing::error!(%error, "a call was not journalled, so it is not acted upon");
            return;
        }
        let done = match self.decide(&context, call) {
            Some(done) => done,
            None => match call {
                Call::PutArtifact { name, media_type, digest } => {
                    artifacts::put(self, &context, name, media_type, digest).await
                }
                Call::StartTool { tool, program, secrets, .. } => {
                    tools::start_with(self, &context, tool, program, secrets).await
                }
                Call::OpenSecret { name } => secrets::open(self, &context, name).await,
                Call::ReadSecret { name } => secrets::read(self, &context, name).await,
                Call::SendRequest { request } => http::send(self, &context, request, again).await,
                other => apps::act(self, &context, other).await,
            },
        };
        self.finish(context, done);
    }

    fn finish(&self, context: CallContext, done: Done) {
        let Done { reply, writes, keep } = done;
        self.scheduler.reply(context, reply, writes, |left| keep.apply(left));
    }

    /// Refuses what is not granted, and answers what needs nothing but the run's records.
    fn decide(&self, context: &CallContext, call: &Call) -> Option<Done> {
        if let Err(failure) = check_grant(context, call) {
            return Some(refused(context, call, failure));
        }
        match call {
            Call::SetOutput { name, value } => Some(run::set_output(context, name, value)),
            Call::TestCases { cases } => Some(reports::test_cases(context, cases)),
            Call::Change { action, object, before, after } => {
                Some(reports::change(context, action, object, before.as_deref(), after.as_deref()))
            }
            Call::StartTool { tool, program, secrets, .. } if secrets.is_empty() => {
                let plan = tools::start(&self.config, context, tool, program);
                Some(Done::reply(plan.map_or_else(Reply::Refused, Reply::Tool)))
            }
            Call::ToolExited { .. } | Call::ConnectTool { .. } | Call::ToolDisconnected { .. } => {
                Some(Done::reply(Reply::Done))
            }
            Call::StartTool { .. }
            | Call::OpenSecret { .. }
            | Call::ReadSecret { .. }
            | Call::SendRequest { .. }
            | Call::PutArtifact { .. }
            | Call::CurrentRelease { .. }
            | Call::Release { .. }
            | Call::Health { .. }
            | Call::Switch { .. }
            | Call::Restore { .. }
            | Call::Address { .. } => None,
        }
    }
}

/// The one place where a grant is checked at run time.
fn check_grant(context: &CallContext, call: &Call) -> Result<(), Failure> {
    match call {
        Call::SetOutput { .. }
        | Call::PutArtifact { .. }
        | Call::TestCases { .. }
        | Call::Change { .. }
        | Call::ToolExited { .. }
        | Call::ToolDisconnected { .. }
        // A release names its app only in the records; `apps::act` asks again with it.
        | Call::Health { .. }
        | Call::Switch { .. } => {}
        Call::StartTool { tool, secrets, .. } => {
            let tool = named(ToolName::new(tool.as_str()))?;
            permit(context, &Act::StartTool(&tool))?;
            for secret in secrets {
                permit(context, &Act::SecretInTool(&named(SecretName::new(secret.secret.as_str()))?, &tool))?;
            }
        }
        Call::ConnectTool { tool, host, port, .. } => {
            let tool = &named(ToolName::new(tool.as_str()))?;
            if !is_host(host) {
                let host = cut(host.as_str(), 128);
                return Err(Failure::new("not-granted", format!("`{}` is no host", host.escape_debug())));
            }
            permit(context, &Act::Connect { tool, host, port: *port })?;
        }
        Call::ReadSecret { name } => permit(context, &Act::ReadSecret(&named(SecretName::new(name.as_str()))?))?,
        Call::SendRequest { request } => http::check(context, request)?,
        Call::OpenSecret { name } => permit(context, &Act::OpenSecret(&named(SecretName::new(name.as_str()))?))?,
        Call::CurrentRelease { app } | Call::Release { app, .. } | Call::Restore { app } | Call::Address { app } => {
            permit(context, &Act::App(&named(AppName::new(app.as_str()))?))?;
        }
    }
    let mutates = matches!(call, Call::Release { .. } | Call::Switch { .. } | Call::Restore { .. });
    if mutates && context.phase == "plan" {
        let message = format!("`{}` changes something, and `plan` only tells what would change", call.function());
        return Err(Failure::new("not-in-this-phase", message));
    }
    Ok(())
}

/// A refusal, with what the audit says of it.
fn refused(context: &CallContext, call: &Call, failure: Failure) -> Done {
    let audit = audit(context, call.function(), failure.message.as_str(), "refused");
    // So many tell as much as any number: all of them are on the journal.
    let writes = if context.left.refused < REFUSALS_TOLD { vec![audit] } else { Vec::new() };
    Done { reply: Reply::Refused(failure), writes, keep: Keep::Refusal }
}

/// What the audit says of something that a stage has done, or was refused.
fn audit(context: &CallContext, action: &str, object: &str, outcome: &'static str) -> Write {
    Write::Audit(AuditRow {
        at: clock::now(),
        actor: format!("{}/{}", context.run, context.stage),
        action: action.to_owned(),
        object: cut(object, 1 << 10),
        outcome,
    })
}

/// How long a guest's call may go on, by what it asks for.
fn within(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms)).min(WITHIN_MAX)
}

/// What nothing is called cannot have been granted.
fn named<T>(name: Result<T, InvalidName>) -> Result<T, Failure> {
    name.map_err(|invalid| Failure::new("not-granted", invalid.to_string()))
}

/// Whether the stage may do something.
fn permit(context: &CallContext, act: &Act<'_>) -> Result<(), Failure> {
    if context.grants.permits(act) {
        return Ok(());
    }
    let how = match act.capability() {
        Some(capability) => format!("add `{}`", capability.line()),
        None => "name it in `grant.secrets`, with the places where it may be used,".to_owned(),
    };
    let message = format!("stage `{0}` has no grant for {act}: {how} to `[stages.{0}]`", context.stage);
    Err(Failure::new("not-granted", message))
}

#[cfg(test)]
mod tests;
