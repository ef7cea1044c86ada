//! `slipway token`: who may do what on a server.

use crate::args::{Server, TokenAction};
use crate::client::{Api, path, shown};
use crate::output;
use serde_json::{Value, json};

pub(super) async fn run(action: TokenAction, as_json: bool) -> anyhow::Result<()> {
    match action {
        TokenAction::Create { role, name, server } => create(&server, role.as_str(), &name, as_json).await,
        TokenAction::List { server } => list(&server, as_json).await,
        TokenAction::Revoke { name, server } => revoke(&server, &name, as_json).await,
    }
}

/// Standard output gets the token and nothing else, so that it can go into a file.
async fn create(server: &Server, role: &str, name: &str, as_json: bool) -> anyhow::Result<()> {
    let made = Api::new(server)?.post(&path(&["tokens"]), &json!({ "name": name, "role": role })).await?;
    if as_json {
        output::json(&made);
        return Ok(());
    }
    output::line(shown(&made, "token"));
    output::note(format!(
        "token `{name}` of role `{role}` is shown this once: keep it in a file that only its user reads"
    ));
    Ok(())
}

async fn list(server: &Server, as_json: bool) -> anyhow::Result<()> {
    let found = Api::new(server)?.get(&path(&["tokens"])).await?;
    if as_json {
        output::json(&found);
        return Ok(());
    }
    for token in found.get("tokens").and_then(Value::as_array).into_iter().flatten() {
        let line = format!("{:<24} {:<8} {}", shown(token, "name"), shown(token, "role"), shown(token, "created_at"));
        output::line(line);
    }
    Ok(())
}

async fn revoke(server: &Server, name: &str, as_json: bool) -> anyhow::Result<()> {
    let revoked = Api::new(server)?.delete(&path(&["tokens", name])).await?;
    if as_json {
        output::json(&revoked);
    } else {
        output::line(format!("token `{name}` of role `{}` is accepted no more", shown(&revoked, "role")));
    }
    Ok(())
}
