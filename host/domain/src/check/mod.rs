//! The check of a whole pipeline before anything of it runs.
//!
//! Every problem is found in one pass, and each names its place in the file, so that
//! whoever reads the file can point at the line.

mod grants;
mod words;

pub use grants::{Row, table};
pub use words::{list, nearest};

use crate::definition::{Definition, Reference, STAGES_MAX, StageDefinition, Uses};
use crate::grant::{Grants, Operator, Tier};
use crate::name::{SecretName, StageName};
use crate::plugin::Plugin;
use std::collections::{BTreeMap, BTreeSet};

/// A place in the pipeline file: the keys that lead to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub Vec<String>);

impl Place {
    /// A place within a stage.
    pub fn stage(name: &StageName, keys: &[&str]) -> Self {
        let lead = ["stages", name.as_str()].into_iter().chain(keys.iter().copied());
        Self(lead.map(str::to_owned).collect())
    }

    /// A place by its keys.
    pub fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| (*key).to_owned()).collect())
    }
}

/// Something that is wrong with a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A stable word for programs.
    pub code: &'static str,
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

/// What is known of the plugin that a stage names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// It is there and fits the contract.
    Known(Plugin),
    /// There is none of that name and version; these names and versions there are.
    Unknown {
        /// What there is, as `name@version`.
        available: Vec<String>,
    },
    /// It is there and cannot be used.
    Unusable {
        /// Why.
        reason: String,
    },
}

/// What a stage may do when the check found nothing wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The grants of each stage.
    pub grants: BTreeMap<StageName, Grants>,
}

/// The secrets that are set for a pipeline: of each environment, and, under `None`, of all.
pub type SecretsSet = BTreeSet<(Option<String>, SecretName)>;

/// What a pipeline is checked for.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What the operator has and allows.
    pub operator: &'a Operator,
    /// The trust of the run.
    pub tier: Tier,
    /// The ref, which decides what of it runs; when it is `None`, everything.
    pub reference: Option<&'a Reference>,
    /// The secrets that are set, where that is known.
    pub secrets: Option<&'a SecretsSet>,
}

impl Situation<'_> {
    fn runs(&self, stage: &StageDefinition) -> bool {
        self.reference.is_none_or(|reference| stage.when.holds(reference))
    }
}

/// Checks a pipeline. `plugins` holds what is known of each `uses`. A stage that does not run for
/// the ref gets no grants, and what its tier may not have is no mistake.
pub fn check(
    definition: &Definition,
    plugins: &BTreeMap<Uses, Resolution>,
    situation: &Situation<'_>,
) -> Result<Checked, Vec<Problem>> {
    let mut problems = Vec::new();
    check_count(definition, &mut problems);
    check_needs(definition, &mut problems);
    let mut grants = BTreeMap::new();
    for stage in &definition.stages {
        match plugins.get(&stage.uses) {
            Some(Resolution::Known(plugin)) => {
                let granted = grants::check(definition, stage, plugin, situation, &mut problems);
                grants.insert(stage.name.clone(), granted);
            }
            Some(Resolution::Unknown { available }) => problems.push(unknown_plugin(stage, available)),
            Some(Resolution::Unusable { reason }) => problems.push(unusable_plugin(stage, reason)),
            None => problems.push(unknown_plugin(stage, &[])),
        }
    }
    if problems.is_empty() { Ok(Checked { grants }) } else { Err(problems) }
}

fn check_count(definition: &Definition, problems: &mut Vec<Problem>) {
    let count = definition.stages.len();
    if count == 0 {
        problems.push(Problem {
            code: "no-stages",
            place: Place::of(&["name"]),
            message: format!("pipeline `{}` has no stages", definition.name),
            hint: Some("add a table such as `[stages.build]` with `uses = \"cargo@1\"`".into()),
        });
    }
    if count > STAGES_MAX {
        problems.push(Problem {
            code: "too-many-stages",
            place: Place::of(&["stages"]),
            message: format!("pipeline `{}` has {count} stages, more than {STAGES_MAX}", definition.name),
            hint: None,
        });
    }
}

fn check_needs(definition: &Definition, problems: &mut Vec<Problem>) {
    let names: BTreeSet<&StageName> = definition.stages.iter().map(|stage| &stage.name).collect();
    for stage in &definition.stages {
        for (index, need) in stage.needs.iter().enumerate() {
            if !names.contains(need) {
                let known: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
                problems.push(Problem {
                    code: "unknown-stage",
                    place: Place::stage(&stage.name, &["needs", &index.to_string()]),
                    message: format!("stage `{}` needs `{need}`, which is not a stage of this pipeline", stage.name),
                    hint: Some(nearest(need.as_str(), &known).map_or_else(
                        || format!("the stages are {}", list(&known)),
                        |near| format!("did you mean `{near}`?"),
                    )),
                });
            }
        }
    }
    for cycle in find_cycles(definition) {
        let path: Vec<String> = cycle.iter().map(|name| format!("`{name}`")).collect();
        let Some(first) = cycle.first() else { continue };
        problems.push(Problem {
            code: "cycle",
            place: Place::stage(first, &["needs"]),
            message: format!("the stages need each other in a circle: {}", path.join(" needs ")),
            hint: Some("take one of these `needs` away".into()),
        });
    }
}

/// Finds stages that need each other in a circle, one circle for each `needs` that closes one:
/// the first name is also the last.
fn find_cycles(definition: &Definition) -> Vec<Vec<StageName>> {
    let mut cycles = Vec::new();
    let needs: BTreeMap<&StageName, &[StageName]> =
        definition.stages.iter().map(|stage| (&stage.name, stage.needs.as_slice())).collect();
    let mut done: BTreeSet<&StageName> = BTreeSet::new();
    for stage in &definition.stages {
        // A path of (stage, how many of its needs were followed), instead of recursion.
        let mut path: Vec<(&StageName, usize)> = vec![(&stage.name, 0)];
        while let Some((name, followed)) = path.last_mut() {
            let next = needs.get(*name).and_then(|needs| needs.get(*followed));
            *followed += 1;
            match next {
                None => {
                    done.insert(name);
                    path.pop();
                }
                Some(next) if done.contains(next) => {}
                Some(next) => {
                    if let Some(start) = path.iter().position(|(on_path, _)| *on_path == next) {
                        let mut cycle: Vec<StageName> =
                            path.iter().skip(start).map(|(name, _)| (*name).clone()).collect();
                        cycle.push(next.clone());
                        cycles.push(cycle);
                    } else {
                        path.push((next, 0));
                    }
                }
            }
        }
    }
    cycles
}

fn unknown_plugin(stage: &StageDefinition, available: &[String]) -> Problem {
    let names: Vec<&str> = available.iter().map(String::as_str).collect();
    Problem {
        code: "unknown-plugin",
        place: Place::stage(&stage.name, &["uses"]),
        message: format!("stage `{}` uses `{}`, and there is no such plugin", stage.name, stage.uses),
        hint: match (nearest(&stage.uses.to_string(), &names), &stage.uses) {
            (Some(near), _) => Some(format!("did you mean `{near}`?")),
            (None, Uses::Named { .. }) if names.is_empty() => None,
            (None, Uses::Named { .. }) => Some(format!("this server has {}", list(&names))),
            (None, Uses::Path(path)) => Some(format!("commit the component as `{path}`, or correct the path")),
        },
    }
}

fn unusable_plugin(stage: &StageDefinition, reason: &str) -> Problem {
    Problem {
        code: "unusable-plugin",
        place: Place::stage(&stage.name, &["uses"]),
        message: format!("stage `{}` uses `{}`, which cannot be used: {reason}", stage.name, stage.uses),
        hint: Some("`slipway plugin inspect FILE` shows what the component imports and exports".into()),
    }
}

#[cfg(test)]
mod tests;
