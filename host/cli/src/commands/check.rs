//! `slipway check`: the whole check of a pipeline file, without a server.

use super::inspect::Inspector;
use super::serve::config;
use super::{no_definition, plugins};
use crate::args::Check;
use crate::diagnostics::{self, Mistake};
use crate::files::{self, COMPONENT_BYTES_MAX};
use crate::{exit, output, table};
use slipway_control::definition::{BYTES_MAX, Catalog, FILE, PluginFacts, check, decode, read, table as find_table};
use slipway_control::files::Error as FileError;
use slipway_domain::check::{Resolution, Situation};
use slipway_domain::definition::{Definition, Uses};
use std::path::Path;
use std::process::ExitCode;

pub(super) async fn run(args: &Check, as_json: bool) -> anyhow::Result<ExitCode> {
    let file = if args.path.is_dir() { args.path.join(FILE) } else { args.path.clone() };
    let folder = file.parent().unwrap_or_else(|| Path::new(".")).to_owned();
    if args.path.is_dir() && !file.exists() {
        return Err(no_definition(&args.path));
    }
    let bytes = files::named(&file, BYTES_MAX, "pipeline file")?;
    let shown = file.display().to_string();
    let text = match decode(&bytes) {
        Ok(text) => text,
        Err(wrong) => {
            diagnostics::show(&shown, &wrong.text, &[wrong.diagnostic.into()], as_json);
            return Ok(ExitCode::from(exit::FAILED));
        }
    };
    let (source, definition) = read(&text);
    let checked = match definition {
        Err(diagnostics) => Err(diagnostics),
        Ok(definition) => {
            let catalog = catalog(&definition, &folder, args.plugins.as_deref()).await?;
            let operator = slipway_control::operator(&config(args.config.as_deref(), args.policy.as_deref())?);
            // Which secrets are set, only a server knows.
            let situation = Situation { operator: &operator, tier: args.tier, reference: None, secrets: None };
            let table = find_table(&definition, &catalog, &operator);
            check(&source, &definition, &catalog, &situation).map(|checked| (checked, table))
        }
    };
    match checked {
        Err(diagnostics) => {
            let mistakes: Vec<Mistake> = diagnostics.into_iter().map(Into::into).collect();
            diagnostics::show(&shown, &text, &mistakes, as_json);
            Ok(ExitCode::from(exit::FAILED))
        }
        Ok((checked, table)) => {
            if as_json {
                diagnostics::show(&shown, &text, &[], true);
            } else {
                for stage in &checked.definition.stages {
                    let Some(facts) = checked.stages.get(&stage.name) else { continue };
                    let plugin = format!("{}@{}", facts.plugin.name, facts.plugin.version);
                    output::line(format!(
                        "{:<16} {:<7} {}",
                        stage.name.as_str(),
                        facts.plugin.kind.as_str(),
                        output::plain(&plugin),
                    ));
                }
                table::print(&table.iter().map(Into::into).collect::<Vec<_>>());
                output::line(format!(
                    "nothing is wrong with `{}` in a run of tier `{}`",
                    output::plain(&shown),
                    args.tier.as_str()
                ));
            }
            Ok(ExitCode::from(exit::OK))
        }
    }
}

/// What is known of the plugins that a definition names, found out here.
async fn catalog(definition: &Definition, folder: &Path, more: Option<&Path>) -> anyhow::Result<Catalog> {
    let inspector = Inspector::new()?;
    let mut built_in: Vec<(String, Result<PluginFacts, String>)> = Vec::new();
    for (name, bytes) in plugins(more)? {
        built_in.push((name, inspector.look(&bytes).await.1));
    }
    let mut catalog = Catalog::default();
    for stage in &definition.stages {
        let found = match &stage.uses {
            Uses::Named { name, .. } => named(&stage.uses, name, &built_in),
            Uses::Path(path) => match slipway_control::files::read(&folder.join(path), COMPONENT_BYTES_MAX) {
                Ok(bytes) => inspector.look(&bytes.into()).await.1.map_err(|reason| Resolution::Unusable { reason }),
                Err(FileError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                    Err(Resolution::Unknown { available: Vec::new() })
                }
                Err(error) => Err(Resolution::Unusable { reason: error.to_string() }),
            },
        };
        catalog.plugins.insert(stage.uses.clone(), found);
    }
    Ok(catalog)
}

fn named(
    uses: &Uses,
    name: &str,
    built_in: &[(String, Result<PluginFacts, String>)],
) -> Result<PluginFacts, Resolution> {
    let mut available = Vec::new();
    for (file, facts) in built_in {
        match facts {
            Ok(facts) if uses.accepts(&facts.plugin.name, &facts.plugin.version) => return Ok(facts.clone()),
            Ok(facts) => {
                let major = facts.plugin.version.split('.').next().unwrap_or_default();
                available.push(format!("{}@{major}", facts.plugin.name));
            }
            Err(reason) if file == name => return Err(Resolution::Unusable { reason: reason.clone() }),
            Err(_) => {}
        }
    }
    Err(Resolution::Unknown { available })
}
