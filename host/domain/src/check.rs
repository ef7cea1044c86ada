//! The check of a whole pipeline before anything of it runs.
//!
//! Every problem is found in one pass, and each names its place in the file, so that
//! whoever reads the file can point at the line.

use crate::definition::{Definition, STAGES_MAX, StageDefinition, Uses};
use crate::grant::{self, Grants, Interface, Operator, Refusal, Refused, Tier};
use crate::name::StageName;
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

/// Checks a pipeline for a trust tier. `plugins` holds what is known of each `uses`.
pub fn check(
    definition: &Definition,
    plugins: &BTreeMap<Uses, Resolution>,
    operator: &Operator,
    tier: Tier,
) -> Result<Checked, Vec<Problem>> {
    let mut problems = Vec::new();
    check_count(definition, &mut problems);
    check_needs(definition, &mut problems);
    let mut grants = BTreeMap::new();
    for stage in &definition.stages {
        match plugins.get(&stage.uses) {
            Some(Resolution::Known(plugin)) => {
                let (granted, refused) = grant::intersect(plugin, &stage.grants, operator, tier);
                problems.extend(refused.iter().map(|refused| describe_refusal(stage, plugin, operator, tier, refused)));
                problems.extend(check_open_requests(stage, plugin, operator));
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

/// A plugin that lets the pipeline name what it uses has nothing to use until one is named.
fn check_open_requests(stage: &StageDefinition, plugin: &Plugin, operator: &Operator) -> Vec<Problem> {
    // The one thing that there is to grant is most likely meant.
    let only = operator.tools.first().filter(|_| operator.tools.len() == 1).map_or("…", |tool| tool.as_str());

    let open = plugin.requests.iter().filter(|request| {
        request.names.is_empty()
            && request.interface.needs_grant()
            && plugin.imports.contains(&request.interface)
            && !stage.grants.iter().any(|capability| capability.interface() == request.interface)
    });
    open.map(|request| Problem {
        code: "missing-grant",
        place: Place::stage(&stage.name, &["uses"]),
        message: format!(
            "plugin `{}` asks for `{}`, and stage `{}` grants none: {}",
            plugin.name, request.interface, stage.name, request.why
        ),
        hint: Some(format!(
            "add `grant.{} = [\"{}\"]` to `[stages.{}]`",
            request.interface,
            if request.interface == Interface::Tools { only } else { "…" },
            stage.name
        )),
    })
    .collect()
}

fn describe_refusal(
    stage: &StageDefinition,
    plugin: &Plugin,
    operator: &Operator,
    tier: Tier,
    refused: &Refused,
) -> Problem {
    let Refused { capability, refusal } = refused;
    let interface = capability.interface();
    let granted = Place::stage(&stage.name, &["grant", interface.as_str()]);
    match refusal {
        Refusal::NotImported | Refusal::NotRequested => Problem {
            code: "useless-grant",
            place: granted,
            message: format!(
                "stage `{}` grants {capability}, which plugin `{}` does not {}",
                stage.name,
                plugin.name,
                if *refusal == Refusal::NotImported { "import" } else { "ask for" }
            ),
            hint: Some(format!("take it out of `grant.{interface}`: a grant that nobody uses helps only an attacker")),
        },
        Refusal::NotGranted => Problem {
            code: "missing-grant",
            place: Place::stage(&stage.name, &["uses"]),
            message: format!(
                "plugin `{}` asks for {capability}, which stage `{}` does not grant{}",
                plugin.name,
                stage.name,
                why(plugin, interface)
            ),
            hint: Some(format!("add `grant.{interface} = [\"{}\"]` to `[stages.{}]`", capability.name(), stage.name)),
        },
        Refusal::NotConfigured => not_configured(stage, operator, capability, granted),
        Refusal::Tier(lowest) => Problem {
            code: "tier",
            place: granted,
            message: format!(
                "stage `{}` grants {capability}, which takes a run of tier `{}`; this one is `{}`",
                stage.name,
                lowest.as_str(),
                tier.as_str()
            ),
            hint: Some(
                "a run's tier follows from where its commit came from: run it for a protected branch or tag".into(),
            ),
        },
    }
}

fn not_configured(
    stage: &StageDefinition,
    operator: &Operator,
    capability: &grant::Capability,
    place: Place,
) -> Problem {
    let have: Vec<&str> = match capability.interface() {
        Interface::Tools => operator.tools.iter().map(AsRef::as_ref).collect(),
        Interface::Secrets => operator.secrets.iter().map(String::as_str).collect(),
        Interface::Run | Interface::Log | Interface::Artifacts | Interface::Reports | Interface::Apps => Vec::new(),
    };
    let hint = match (nearest(capability.name(), &have), capability.interface()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Interface::Tools) => format!(
            "this server has {}; its operator adds one as `[tools.{}]` to the server's configuration",
            if have.is_empty() { "no tools".to_owned() } else { list(&have) },
            capability.name()
        ),
        (None, _) => format!("this server has {}", if have.is_empty() { "none".to_owned() } else { list(&have) }),
    };
    Problem {
        code: "not-configured",
        place,
        message: format!("stage `{}` grants {capability}, which this server does not have", stage.name),
        hint: Some(hint),
    }
}

fn why(plugin: &Plugin, interface: Interface) -> String {
    plugin
        .requests
        .iter()
        .find(|request| request.interface == interface && !request.why.is_empty())
        .map_or_else(String::new, |request| format!(" (it says: {})", request.why))
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

/// The words as a list for a sentence, at most eight of them.
pub fn list(words: &[&str]) -> String {
    let shown: Vec<String> = words.iter().take(8).map(|word| format!("`{word}`")).collect();
    match words.len().saturating_sub(8) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The candidate that a misspelled word most likely stands for: the one at the smallest
/// edit distance, when that is at most a third of the word (rounded up). One that only goes on
/// with a unit, as `timeout_seconds` after `timeout`, is nearest of all.
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let goes_on = |candidate: &&&str| candidate.strip_prefix(word).is_some_and(|rest| rest.starts_with(['_', '-']));
    if let Some(candidate) = candidates.iter().find(goes_on).filter(|_| !word.is_empty()) {
        return Some(candidate);
    }
    let limit = word.chars().count().div_ceil(3);
    candidates
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, over characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(128).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(128).enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
            let best = (at(&row, j) + usize::from(from != *to)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            next.push(best);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
