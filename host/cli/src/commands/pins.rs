//! `slipway plugin update`: writes down what the plugins of a pipeline are, once somebody has seen
//! what is otherwise.

use super::check::{self, Project};
use crate::args::PluginUpdate;
use crate::client::{Api, path, text};
use crate::error::Told;
use crate::{exit, output};
use anyhow::Context;
use serde_json::{Value, json};
use slipway_control::definition::{LOCK_FILE, write_lock};
use slipway_domain::Digest;
use slipway_domain::definition::Uses;
use slipway_domain::pin::{Difference, Pin, Pins};
use slipway_domain::plugin::Kind;
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;

/// What became of one plugin.
enum Change {
    New,
    Same,
    Other(Difference),
    /// No stage uses it any more.
    Gone,
}

pub(super) async fn update(args: &PluginUpdate, as_json: bool) -> anyhow::Result<ExitCode> {
    let project = match Project::read(&args.folder)? {
        Ok(project) => project,
        Err(mistakes) => return Ok(mistakes.show(as_json)),
    };
    let lock = project.folder.join(LOCK_FILE);
    let before = match project.pins() {
        Ok(pins) => pins,
        // It is about to be written anew.
        Err(problem) => {
            output::note(format!("warning: {}: it is taken for empty", output::plain(&problem.message)));
            None
        }
    };
    let served = if args.from_server { Some(served(&Api::new(&args.server)?).await?) } else { None };
    let found = check::catalog(&project.definition, &project.folder, args.plugins.as_deref(), None).await?;
    let mut after = Pins::new();
    for stage in &project.definition.stages {
        let pin = match (&served, &stage.uses) {
            (Some(served), Uses::Named { .. }) => {
                served.iter().find(|pin| stage.uses.accepts(&pin.name, &pin.version)).cloned()
            }
            _ => found.plugins.get(&stage.uses).and_then(|found| found.as_ref().ok()).map(|facts| facts.pin()),
        };
        let Some(pin) = pin else {
            let message =
                format!("stage `{}` uses `{}`, and there is no such plugin that can be used", stage.name, stage.uses);
            let hint = if args.from_server {
                "`slipway plugin list` shows those of this program"
            } else {
                "`slipway check` tells more"
            };
            return Err(Told::refused("unknown-plugin", message).hint(hint).into());
        };
        after.insert(stage.uses.clone(), pin);
    }
    let changes = changes(before.as_ref(), &after);
    let is_same = before.as_ref() == Some(&after);
    if as_json {
        output::json(&to_json(&changes, &after, is_same));
    } else {
        show(&changes, &after);
    }
    if is_same {
        output::note(format!("`{}` holds it all already", lock.display()));
        return Ok(ExitCode::from(exit::OK));
    }
    if args.check {
        output::note(format!("`{}` is not as this: `slipway plugin update` writes it", lock.display()));
        return Ok(ExitCode::from(exit::FAILED));
    }
    let gains =
        changes.iter().any(|(_, change)| matches!(change, Change::Other(difference) if !difference.gained.is_empty()));
    if gains && !args.yes {
        agree()?;
    }
    std::fs::write(&lock, write_lock(&after)).with_context(|| format!("cannot write `{}`", lock.display()))?;
    output::note(format!("wrote `{}`: commit it", lock.display()));
    Ok(ExitCode::from(exit::OK))
}

/// Asks whether plugins may gain capabilities.
fn agree() -> anyhow::Result<()> {
    let refused = |message: &str| {
        Told::refused("not-agreed", message.to_owned()).hint("`--yes` agrees to it beforehand; nothing was written")
    };
    if !std::io::stdin().is_terminal() {
        return Err(refused("plugins gain capabilities, and nobody is there to agree").into());
    }
    let mut err = std::io::stderr();
    // A terminal that cannot be written to is not read from either.
    write!(err, "let them have that? [y/N] ").and_then(|()| err.flush())?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(refused("not agreed").into()) }
}

/// The plugins that a server has.
async fn served(api: &Api) -> anyhow::Result<Vec<Pin>> {
    let list = api.get(&path(&["plugins"])).await?;
    let plugins = list.get("plugins").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(plugins.iter().filter_map(pin).collect())
}

fn pin(plugin: &Value) -> Option<Pin> {
    let capabilities = plugin.get("capabilities")?.as_array()?;
    Some(Pin {
        name: text(plugin, "name").to_owned(),
        version: plugin.get("version")?.as_str()?.to_owned(),
        kind: Kind::parse(plugin.get("kind")?.as_str()?)?,
        digest: Digest::new(text(plugin, "digest")).ok()?,
        size: plugin.get("size")?.as_u64()?,
        capabilities: capabilities.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

/// What became of each plugin, by name.
fn changes(before: Option<&Pins>, after: &Pins) -> Vec<(Uses, Change)> {
    let before = before.cloned().unwrap_or_default();
    let names: BTreeSet<&Uses> = before.keys().chain(after.keys()).collect();
    let change = |uses: &Uses| match (before.get(uses), after.get(uses)) {
        (None, _) => Change::New,
        (Some(_), None) => Change::Gone,
        (Some(was), Some(is)) if was == is => Change::Same,
        (Some(was), Some(is)) => Change::Other(was.difference(is)),
    };
    names.into_iter().map(|uses| (uses.clone(), change(uses))).collect()
}

fn show(changes: &[(Uses, Change)], after: &Pins) {
    let line = |sign: &str, text: &str| output::line(format!("    {sign} {}", output::plain(text)));
    for (uses, change) in changes {
        let shown = output::plain(&uses.to_string());
        match (change, after.get(uses)) {
            (Change::Gone, _) | (_, None) => output::line(format!("- {shown}  is used no more")),
            (Change::Same, Some(pin)) => output::line(format!("  {shown}  {} as before", output::plain(&pin.version))),
            (Change::New, Some(pin)) => {
                let (version, world) = (output::plain(&pin.version), pin.kind.world());
                output::line(format!("+ {shown}  {version}, world `{world}`, {} bytes, {}", pin.size, pin.digest));
                pin.capabilities.iter().for_each(|capability| line("+", capability));
            }
            (Change::Other(difference), Some(_)) => {
                output::line(format!("~ {shown}"));
                difference.changed.iter().for_each(|changed| line("~", changed));
                difference.gained.iter().for_each(|gained| line("+", gained));
                difference.lost.iter().for_each(|lost| line("-", lost));
                if difference.gained.is_empty() && difference.lost.is_empty() {
                    line("=", "it can do what it could");
                }
            }
        }
    }
}

fn to_json(changes: &[(Uses, Change)], after: &Pins, is_same: bool) -> Value {
    let plugins = changes.iter().map(|(uses, change)| {
        let (word, difference) = match change {
            Change::New => ("new", None),
            Change::Same => ("same", None),
            Change::Gone => ("gone", None),
            Change::Other(difference) => ("changed", Some(difference)),
        };
        let list = |pick: fn(&Difference) -> &Vec<String>| difference.map(pick).cloned().unwrap_or_default();
        json!({
            "uses": uses.to_string(),
            "change": word,
            "version": after.get(uses).map(|pin| &pin.version),
            "digest": after.get(uses).map(|pin| pin.digest.as_str()),
            "changed": list(|difference| &difference.changed),
            "gained": list(|difference| &difference.gained),
            "lost": list(|difference| &difference.lost),
        })
    });
    json!({ "is_current": is_same, "plugins": plugins.collect::<Vec<_>>() })
}
