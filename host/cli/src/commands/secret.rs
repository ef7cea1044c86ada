//! `slipway secret`: values go in, and never come out.

use crate::args::{Secret, SecretAction, Server};
use crate::client::{Api, Path, path, shown};
use crate::error::Told;
use crate::{files, output};
use serde_json::{Value, json};
use slipway_control::secrets::VALUE_BYTES_MAX;
use std::io::{IsTerminal, Read};
use std::path::Path as FilePath;
use zeroize::Zeroizing;

pub(super) async fn run(action: SecretAction, as_json: bool) -> anyhow::Result<()> {
    match action {
        SecretAction::Set { secret, file, server } => set(&server, &secret, file.as_deref(), as_json).await,
        SecretAction::List { pipeline, server } => list(&server, &pipeline, as_json).await,
        SecretAction::Remove { secret, server } => remove(&server, &secret, as_json).await,
        SecretAction::Rotate { server } => rotate(&server, as_json).await,
    }
}

fn address(secret: &Secret) -> Path {
    let address = path(&["pipelines", &secret.pipeline, "secrets", &secret.name]);
    match &secret.environment {
        Some(environment) => address.query("environment", environment),
        None => address,
    }
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn of(secret: &Secret) -> String {
    let environment = secret.environment.as_ref().map_or_else(String::new, |name| format!(" of environment `{name}`"));
    format!("secret `{}` of pipeline `{}`{environment}", secret.name, secret.pipeline)
}

async fn set(server: &Server, secret: &Secret, file: Option<&FilePath>, as_json: bool) -> anyhow::Result<()> {
    let api = Api::new(server)?;
    let value = value(secret, file)?;
    let set = api.put(&address(secret), &json!({ "value": value.as_str() })).await?;
    if as_json {
        output::json(&set);
    } else {
        output::line(format!("{} is set (value {})", of(secret), number(&set, "version")));
    }
    if set.get("is_masked") == Some(&Value::Bool(false)) {
        output::note(
            "warning: a value of less than 8 bytes is not masked in logs, where it would stand by chance: choose a longer one",
        );
    }
    Ok(())
}

/// The value: never from the command line, which other users of the machine can read and shells keep.
fn value(secret: &Secret, file: Option<&FilePath>) -> anyhow::Result<Zeroizing<String>> {
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).map(Zeroizing::new);
        text.map_err(|_| {
            Told::usage("invalid-value", "the value is not UTF-8".to_owned())
                .hint("encode it, for example with `base64`")
        })
    };
    if let Some(file) = file {
        return Ok(text(files::named(file, VALUE_BYTES_MAX, "file")?)?);
    }
    let mut input = std::io::stdin();
    if input.is_terminal() {
        let typed = rpassword::prompt_password(format!("value of {}: ", of(secret)))?;
        return Ok(Zeroizing::new(typed));
    }
    let mut bytes = Vec::new();
    input.by_ref().take(VALUE_BYTES_MAX as u64 + 2).read_to_end(&mut bytes)?;
    // The line break that `echo` and editors put at the end is nobody's value.
    for end in [b"\n", b"\r"] {
        if bytes.ends_with(end) {
            bytes.pop();
        }
    }
    Ok(text(bytes)?)
}

async fn list(server: &Server, pipeline: &str, as_json: bool) -> anyhow::Result<()> {
    let found = Api::new(server)?.get(&path(&["pipelines", pipeline, "secrets"])).await?;
    if as_json {
        output::json(&found);
        return Ok(());
    }
    let secrets = found.get("secrets").and_then(Value::as_array).cloned().unwrap_or_default();
    if secrets.is_empty() {
        output::note(format!("there are no secrets yet: `slipway secret set {pipeline} NAME` sets one"));
    }
    for secret in &secrets {
        let environment = secret.get("environment").and_then(Value::as_str).map_or_else(String::new, output::plain);
        output::line(format!(
            "{:<24} {:<16} value {:<4} {}  by {}",
            shown(secret, "name"),
            environment,
            number(secret, "version"),
            shown(secret, "changed_at"),
            shown(secret, "changed_by")
        ));
    }
    Ok(())
}

async fn remove(server: &Server, secret: &Secret, as_json: bool) -> anyhow::Result<()> {
    let removed = Api::new(server)?.delete(&address(secret)).await?;
    if as_json {
        output::json(&removed);
    } else {
        output::line(format!("{} is gone", of(secret)));
    }
    Ok(())
}

async fn rotate(server: &Server, as_json: bool) -> anyhow::Result<()> {
    let rotated = Api::new(server)?.post(&path(&["secrets", "rotate"]), &json!({})).await?;
    if as_json {
        output::json(&rotated);
    } else {
        output::line(format!("{} secrets are under a new key, and the old one is gone", number(&rotated, "secrets")));
    }
    Ok(())
}
