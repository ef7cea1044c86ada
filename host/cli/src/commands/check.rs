//! `slipway check`: the whole check of a pipeline file, without a server.

use super::inspect::Inspector;
use super::serve::config;
use super::{no_definition, plugins};
use crate::args::Check;
use crate::diagnostics::{self, Mistake};
use crate::files::{self, COMPONENT_BYTES_MAX};
use crate::{exit, output, table};
use slipway_control::definition::{
    BYTES_MAX, Catalog, Diagnostic, FILE, LOCK_FILE, PluginFacts, Source, check, decode, is_pinned, read, read_lock,
    table as find_table,
};
use slipway_control::files::Error as FileError;
use slipway_domain::check::{Place, Problem, Resolution, Situation};
use slipway_domain::definition::{Definition, Uses};
use slipway_domain::pin::Pins;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A project of this machine, whose pipeline file can be read.
pub(super) struct Project {
    pub(super) folder: PathBuf,
    pub(super) definition: Definition,
    source: Source,
    shown: String,
}

/// What is wrong with the pipeline file of one.
pub(super) struct Mistakes {
    shown: String,
    text: String,
    mistakes: Vec<Mistake>,
}

impl Mistakes {
    /// Shows them. The exit code says that the answer is no.
    pub(super) fn show(self, as_json: bool) -> ExitCode {
        diagnostics::show(&self.shown, &self.text, &self.mistakes, as_json);
        ExitCode::from(exit::FAILED)
    }
}

impl Project {
    /// Reads the pipeline file of a folder, or the file itself.
    pub(super) fn read(path: &Path) -> anyhow::Result<Result<Self, Mistakes>> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let folder = file.parent().unwrap_or_else(|| Path::new(".")).to_owned();
        if path.is_dir() && !file.exists() {
            return Err(no_definition(path));
        }
        let bytes = files::named(&file, BYTES_MAX, "pipeline file")?;
        let shown = file.display().to_string();
        let text = match decode(&bytes) {
            Ok(text) => text,
            Err(wrong) => {
                let mistakes = vec![wrong.diagnostic.into()];
                return Ok(Err(Mistakes { shown, text: wrong.text, mistakes }));
            }
        };
        let (source, definition) = read(&text);
        Ok(match definition {
            Ok(definition) => Ok(Self { folder, definition, source, shown }),
            Err(wrong) => Err(Mistakes { shown, text, mistakes: wrong.into_iter().map(Into::into).collect() }),
        })
    }

    /// What its lock file holds, where it has one.
    pub(super) fn pins(&self) -> Result<Option<Pins>, Problem> {
        let unreadable = |error: FileError| Problem {
            code: "invalid-lock",
            place: Place::of(&["name"]),
            message: format!("`{LOCK_FILE}` cannot be read: {error}"),
            hint: None,
        };
        match slipway_control::files::read(&self.folder.join(LOCK_FILE), BYTES_MAX) {
            Ok(bytes) => read_lock(&String::from_utf8_lossy(&bytes)).map(Some),
            Err(FileError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(error)),
        }
    }

    fn mistakes(self, diagnostics: Vec<Diagnostic>) -> Mistakes {
        let mistakes = diagnostics.into_iter().map(Into::into).collect();
        Mistakes { shown: self.shown, text: self.source.text().to_owned(), mistakes }
    }
}

pub(super) async fn run(args: &Check, as_json: bool) -> anyhow::Result<ExitCode> {
    let project = match Project::read(&args.path)? {
        Ok(project) => project,
        Err(mistakes) => return Ok(mistakes.show(as_json)),
    };
    let pins = match project.pins() {
        Ok(pins) => pins,
        Err(problem) => {
            let located = project.source.locate_all(&[problem]);
            return Ok(project.mistakes(located).show(as_json));
        }
    };
    let is_pinned = pins.is_some();
    let catalog = catalog(&project.definition, &project.folder, args.plugins.as_deref(), pins).await?;
    let operator = slipway_control::operator(&config(args.config.as_deref(), args.policy.as_deref())?);
    // Which secrets are set, only a server knows.
    let situation = Situation { operator: &operator, tier: args.tier, reference: None, secrets: None };
    let table = find_table(&project.definition, &catalog, &operator);
    let checked = match check(&project.source, &project.definition, &catalog, &situation) {
        Ok(checked) => checked,
        Err(wrong) => return Ok(project.mistakes(wrong).show(as_json)),
    };
    if as_json {
        diagnostics::show(&project.shown, project.source.text(), &[], true);
        return Ok(ExitCode::from(exit::OK));
    }
    for stage in &checked.definition.stages {
        let Some(facts) = checked.stages.get(&stage.name) else { continue };
        let plugin = format!("{}@{}", facts.plugin.name, facts.plugin.version);
        let kind = facts.plugin.kind.as_str();
        output::line(format!("{:<16} {kind:<7} {}", stage.name.as_str(), output::plain(&plugin)));
    }
    table::print(&table.iter().map(Into::into).collect::<Vec<_>>());
    if !is_pinned {
        output::line("its plugins are not pinned: `slipway plugin update` writes down what they are");
    }
    let (shown, tier) = (output::plain(&project.shown), args.tier.as_str());
    output::line(format!("nothing is wrong with `{shown}` in a run of tier `{tier}`"));
    Ok(ExitCode::from(exit::OK))
}

/// What is known of the plugins that a definition names, found out here.
pub(super) async fn catalog(
    definition: &Definition,
    folder: &Path,
    more: Option<&Path>,
    pins: Option<Pins>,
) -> anyhow::Result<Catalog> {
    let inspector = Inspector::new()?;
    let mut built_in: Vec<(String, Result<PluginFacts, String>)> = Vec::new();
    for (name, bytes) in plugins(more)? {
        built_in.push((name, inspector.look(&bytes).await.1));
    }
    let mut catalog = Catalog { plugins: BTreeMap::new(), pins };
    for stage in &definition.stages {
        let found = match &stage.uses {
            Uses::Named { name, .. } => named(&stage.uses, name, &built_in, catalog.pins.as_ref()),
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
    pins: Option<&Pins>,
) -> Result<PluginFacts, Resolution> {
    let mut available = Vec::new();
    let mut order: Vec<&(String, Result<PluginFacts, String>)> = built_in.iter().collect();
    let pinned =
        |found: &Result<PluginFacts, String>| found.as_ref().is_ok_and(|facts| is_pinned(pins, uses, &facts.digest));
    order.sort_by_key(|(_, found)| !pinned(found));
    for (file, facts) in order {
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
