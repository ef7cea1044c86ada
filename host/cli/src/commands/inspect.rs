//! `slipway plugin`.

use crate::error::Told;
use crate::files::{self, COMPONENT_BYTES_MAX};
use crate::{built_in, exit, output};
use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use slipway_control::definition::PluginFacts;
use slipway_control::plugins::{Description, facts};
use slipway_domain::Digest;
use slipway_domain::grant::Interface;
use slipway_engine::Compiler;
use slipway_worker::runtime::component::Components;
use slipway_worker::runtime::execute::describe;
use std::path::PathBuf;
use std::process::ExitCode;

/// The folder of compiled code for commands without a server.
fn code_folder() -> PathBuf {
    cache().join("code")
}

/// The folder of what may be thrown away.
pub(super) fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home().join(".cache"), PathBuf::from).join("slipway")
}

/// Finds out what components are, here and without a server.
pub(super) struct Inspector(Components);

impl Inspector {
    pub(super) fn new() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let compiler = Compiler::start(&program, Some(&code_folder())).context("cannot start the compiler")?;
        Self::by(compiler)
    }

    fn by(compiler: Compiler) -> anyhow::Result<Self> {
        let components = Components::new(compiler);
        Ok(Self(components.map_err(|error| anyhow::anyhow!("cannot start the WebAssembly engine: {error:#}"))?))
    }

    pub(super) async fn look(&self, bytes: &Bytes) -> (Description, Result<PluginFacts, String>) {
        let digest = Digest::new(format!("sha256:{}", hex::encode(Sha256::digest(bytes))));
        let description = Description(describe(&self.0, bytes).await.map_err(|undescribed| undescribed.reason));
        let facts = match digest {
            Ok(digest) => facts(&description, &digest, bytes.len() as u64),
            Err(error) => Err(error.to_string()),
        };
        (description, facts)
    }
}

pub(super) async fn run(file: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let built_in = built_in::plugins(None)?;
    let bytes = match built_in.into_iter().find(|(name, _)| name == file.split('@').next().unwrap_or(file)) {
        Some((_, bytes)) if !std::path::Path::new(file).exists() => bytes,
        None if !std::path::Path::new(file).exists() => {
            let message = format!("there is no file `{file}`, and no built-in plugin of that name");
            return Err(Told::usage("no-such-plugin", message)
                .hint("`slipway plugin list` shows the built-in ones")
                .into());
        }
        Some(_) | None => files::named(std::path::Path::new(file), COMPONENT_BYTES_MAX, "component")?.into(),
    };
    let (description, facts) = Inspector::new()?.look(&bytes).await;
    match facts {
        Ok(facts) => {
            show(&description, &facts, bytes.len(), as_json);
            Ok(ExitCode::from(exit::OK))
        }
        Err(reason) => {
            if as_json {
                output::json(&json!({ "file": file, "usable": false, "reason": reason }));
            } else {
                let (file, reason) = (output::plain(file), output::plain(&reason));
                output::note(format!("error: `{file}` cannot be used as a plugin: {reason}"));
            }
            Ok(ExitCode::from(exit::FAILED))
        }
    }
}

fn show(description: &Description, facts: &PluginFacts, size: usize, as_json: bool) {
    let plugin = &facts.plugin;
    let imports = description.0.as_ref().map(|described| described.imports.clone()).unwrap_or_default();
    if as_json {
        return output::json(&json!({
            "name": plugin.name, "version": plugin.version, "kind": plugin.kind.as_str(), "usable": true,
            "digest": facts.digest.as_str(), "size": size, "imports": imports, "config_schema": facts.config_schema,
            "requests": plugin.requests.iter().map(|request| json!({
                "interface": request.interface.as_str(), "names": request.names, "why": request.why, "read": request.read,
                "network": request.network.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })).collect::<Vec<Value>>(),
        }));
    }
    output::line(format!(
        "{}@{}, a {} stage (world `{}`)",
        output::plain(&plugin.name),
        output::plain(&plugin.version),
        plugin.kind,
        plugin.kind.world()
    ));
    output::line(format!("  {}  {size} bytes", facts.digest));
    output::line("what it can do, by its imports:");
    for interface in &plugin.imports {
        output::line(format!("  {:<10} {}", interface.as_str(), interface.in_words()));
    }
    if imports.iter().any(|import| import.starts_with("wasi:filesystem/")) {
        output::line("  files      the revision at /work and earlier artifacts at /inputs");
    }
    for interface in Interface::ALL.into_iter().filter(|interface| plugin.kind.interfaces().contains(interface)) {
        if !plugin.imports.contains(&interface) && interface.needs_grant() {
            output::line(format!("  (it cannot use {interface}: it does not import it)"));
        }
    }
    output::line("what it asks the pipeline to grant:");
    if plugin.requests.is_empty() {
        output::line("  nothing");
    }
    for request in &plugin.requests {
        let names =
            if request.names.is_empty() { "named by the pipeline".to_owned() } else { request.names.join(", ") };
        let network: Vec<String> = request.network.iter().map(ToString::to_string).collect();
        let network =
            if network.is_empty() { String::new() } else { format!(", with a network to {}", network.join(", ")) };
        let read = if request.read { ", and to see their values" } else { "" };
        output::line(format!(
            "  {}: {}{network}{read}  ({})",
            request.interface,
            output::plain(&names),
            output::plain(&request.why)
        ));
    }
    output::line("its `with`:");
    let properties = facts.config_schema.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        let about = schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        let needed = facts.config_schema.get("required").and_then(Value::as_array);
        let needed = needed.is_some_and(|needed| needed.iter().any(|needed| needed == name));
        let kind = in_words(schema, needed);
        output::line(format!("  {:<20} {:<22} {}", output::plain(name), output::plain(&kind), output::plain(&about)));
    }
    if properties.is_none_or(serde_json::Map::is_empty) {
        output::line("  nothing");
    }
}

/// What a value of the configuration is, and whether it has to be there.
fn in_words(schema: &Value, needed: bool) -> String {
    let types = match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let words = types.iter().filter(|word| **word != "null").map(|word| match *word {
        "integer" => "number",
        "boolean" => "true or false",
        "array" => "list",
        "object" => "table",
        word => word,
    });
    let words = words.collect::<Vec<_>>().join(" or ");
    let words = if words.is_empty() { "value".to_owned() } else { words };
    match schema.get("default").filter(|default| !default.is_null()) {
        _ if needed => format!("{words}, needed"),
        Some(default) => format!("{words} = {default}"),
        None => words,
    }
}

pub(super) async fn list(as_json: bool) -> anyhow::Result<()> {
    let inspector = Inspector::new()?;
    let mut plugins = Vec::new();
    for (name, bytes) in built_in::plugins(None)? {
        match inspector.look(&bytes).await.1 {
            Ok(facts) if as_json => plugins.push(json!({
                "name": facts.plugin.name, "version": facts.plugin.version, "kind": facts.plugin.kind.as_str(),
            })),
            Ok(facts) => {
                output::line(format!("{:<16} {:<8} {}", facts.plugin.name, facts.plugin.version, facts.plugin.kind))
            }
            Err(reason) => output::note(format!("warning: built-in plugin `{name}` cannot be used: {reason}")),
        }
    }
    if as_json {
        output::json(&json!({ "plugins": plugins }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_built_in_plugins_describe_themselves_as_the_published_schema_says() {
        let schema = include_str!("../../../../docs/schemas/describe.json");
        let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
        let inspector = Inspector::by(Compiler::here()).unwrap();
        let plugins = built_in::plugins(None).unwrap();
        assert!(!plugins.is_empty());
        for (name, bytes) in plugins {
            let (description, facts) = inspector.look(&bytes).await;
            facts.unwrap_or_else(|reason| panic!("{name}: {reason}"));
            let document: Value = serde_json::from_str(&description.0.unwrap().text).unwrap();
            schema.validate(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
