//! What of a pipeline's grants has a hole, with the line that would close it.

use super::{Place, Problem, Resolution, Situation, list, nearest};
use crate::definition::{Definition, StageDefinition, Uses};
use crate::grant::{
    self, Asked, Capability, Grants, Interface, Missing, Network, Operator, Refusal, Refused, Tier, Use,
};
use crate::name::StageName;
use crate::plugin::Plugin;
use std::collections::{BTreeMap, BTreeSet};

/// A capability that a pipeline grants to a stage, and what becomes of it in each tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The stage.
    pub stage: StageName,
    /// The capability.
    pub capability: Capability,
    /// Who refuses it in each tier; `None` where it is granted.
    pub by_tier: BTreeMap<Tier, Option<Refusal>>,
}

/// The whole table of a pipeline: each stage's capabilities in each tier. Stages whose plugin is not
/// known have none.
pub fn table(definition: &Definition, plugins: &BTreeMap<Uses, Resolution>, operator: &Operator) -> Vec<Row> {
    let mut rows = Vec::new();
    for stage in &definition.stages {
        let Some(Resolution::Known(plugin)) = plugins.get(&stage.uses) else { continue };
        let mut found: BTreeMap<Capability, BTreeMap<Tier, Option<Refusal>>> = BTreeMap::new();
        for tier in Tier::ALL {
            let (granted, refused) = grant::intersect(&asked(definition, stage, plugin, operator, tier));
            let granted = granted.iter().map(|capability| (capability.clone(), None));
            let refused = refused.into_iter().map(|refused| (refused.capability, Some(refused.refusal)));
            for (capability, refusal) in granted.chain(refused) {
                found.entry(capability).or_default().insert(tier, refusal);
            }
        }
        let of_stage =
            found.into_iter().map(|(capability, by_tier)| Row { stage: stage.name.clone(), capability, by_tier });
        rows.extend(of_stage);
    }
    rows
}

fn asked<'a>(
    definition: &'a Definition,
    stage: &'a StageDefinition,
    plugin: &'a Plugin,
    operator: &'a Operator,
    tier: Tier,
) -> Asked<'a> {
    Asked { pipeline: &definition.name, plugin, grants: &stage.grants, operator, tier }
}

/// Finds what a stage may do, and the holes in what it was to be granted.
pub(super) fn check(
    definition: &Definition,
    stage: &StageDefinition,
    plugin: &Plugin,
    situation: &Situation<'_>,
    problems: &mut Vec<Problem>,
) -> Grants {
    let Situation { operator, tier, .. } = *situation;
    let (granted, refused) = grant::intersect(&asked(definition, stage, plugin, operator, tier));
    let runs = situation.runs(stage);
    let counts = |refused: &&Refused| runs || !matches!(refused.refusal, Refusal::Tier(_) | Refusal::Policy(_));
    problems.extend(refused.iter().filter(counts).map(|refused| describe_refusal(stage, plugin, situation, refused)));
    let missing = grant::missing(plugin, &stage.grants);
    problems.extend(missing.iter().map(|missing| describe_missing(stage, plugin, operator, missing)));
    if !runs {
        return Grants::default();
    }
    problems.extend(unset_secrets(definition, stage, &granted, situation));
    granted
}

fn describe_missing(stage: &StageDefinition, plugin: &Plugin, operator: &Operator, missing: &Missing) -> Problem {
    let Missing { interface, name, why } = missing;
    let says = if why.is_empty() { String::new() } else { format!(" (it says: {why})") };
    let message = match name {
        Some(name) => format!(
            "plugin `{}` asks for {}, which stage `{}` does not grant{says}",
            plugin.name,
            in_words(*interface, name),
            stage.name
        ),
        None => {
            format!("plugin `{}` asks for `{interface}`, and stage `{}` grants none{says}", plugin.name, stage.name)
        }
    };
    let known = operator.names(*interface);
    // The one thing that there is to grant is most likely meant.
    let only = known.first().filter(|_| known.len() == 1).copied().unwrap_or("…");
    let name = name.as_deref().unwrap_or(only);
    let line = match interface {
        Interface::Secrets => format!("grant.secrets.{} = {{ http = [\"https://…/\"] }}", name.replace('…', "NAME")),
        Interface::Run
        | Interface::Log
        | Interface::Artifacts
        | Interface::Reports
        | Interface::Tools
        | Interface::Http
        | Interface::Apps => format!("grant.{interface} = [\"{name}\"]"),
    };
    Problem {
        code: "missing-grant",
        place: Place::stage(&stage.name, &["uses"]),
        message,
        hint: Some(format!("add `{line}` to `[stages.{}]`", stage.name)),
    }
}

fn in_words(interface: Interface, name: &str) -> String {
    match interface {
        Interface::Tools => format!("tool `{name}`"),
        Interface::Secrets => format!("secret `{name}`"),
        Interface::Http => format!("requests `{name}`"),
        Interface::Apps => format!("app `{name}`"),
        Interface::Run | Interface::Log | Interface::Artifacts | Interface::Reports => format!("`{name}`"),
    }
}

/// Where a capability stands in the file.
fn place(stage: &StageDefinition, capability: &Capability) -> Place {
    let interface = capability.interface().as_str();
    let keys: Vec<&str> = match capability {
        Capability::Network(tool, _) => vec!["grant", interface, tool.as_str(), "network"],
        Capability::Secret(name, Use::Http(_)) => vec!["grant", interface, name.as_str(), "http"],
        Capability::Secret(name, Use::Tool(_)) => vec!["grant", interface, name.as_str(), "tools"],
        Capability::Secret(name, Use::Read) => vec!["grant", interface, name.as_str(), "read"],
        Capability::Tool(_) | Capability::Http(_) | Capability::App(_) => vec!["grant", interface],
    };
    Place::stage(&stage.name, &keys)
}

fn describe_refusal(stage: &StageDefinition, plugin: &Plugin, situation: &Situation<'_>, refused: &Refused) -> Problem {
    let Refused { capability, refusal } = refused;
    let interface = capability.interface();
    let tier = situation.tier.as_str();
    let (code, why, hint) = match refusal {
        Refusal::NotImported | Refusal::NotRequested => {
            let verb = if *refusal == Refusal::NotImported { "import" } else { "ask for" };
            (
                "useless-grant",
                format!("which plugin `{}` does not {verb}", plugin.name),
                format!("take it out of `grant.{interface}`: a grant that nobody uses helps only an attacker"),
            )
        }
        Refusal::NotConfigured => (
            "not-configured",
            "which this server does not have".to_owned(),
            not_configured(situation.operator, capability),
        ),
        Refusal::Alone => (
            "useless-grant",
            format!("which is of no use without {}", companion(capability)),
            format!("add that to `[stages.{}]`, or take this out", stage.name),
        ),
        Refusal::Tier(lowest) => (
            "tier",
            format!("which takes a run of tier `{}`; this one is `{tier}`", lowest.as_str()),
            format!(
                "a run's tier follows from where its commit came from: let the stage run for protected branches or \
                 tags only, as by `when.tag = \"v*\"` in `[stages.{}]`",
                stage.name
            ),
        ),
        Refusal::Policy(tier) => (
            "policy",
            format!("which this server's policy does not allow in a run of tier `{}`", tier.as_str()),
            format!(
                "its operator allows it by `{}` in `[{}]` of the policy file",
                capability.policy_line(),
                tier.as_str()
            ),
        ),
    };
    Problem {
        code,
        place: place(stage, capability),
        message: format!("stage `{}` grants {capability}, {why}", stage.name),
        hint: Some(hint),
    }
}

/// What a capability is of use with.
fn companion(capability: &Capability) -> String {
    match capability {
        Capability::Network(tool, _) | Capability::Secret(_, Use::Tool(tool)) => {
            format!("`{}`", Capability::Tool(tool.clone()).line())
        }
        Capability::Secret(_, Use::Http(origin)) => format!("a rule in `grant.http` for `{origin}`"),
        Capability::Secret(_, Use::Read) | Capability::Tool(_) | Capability::Http(_) | Capability::App(_) => {
            "another grant".to_owned()
        }
    }
}

fn not_configured(operator: &Operator, capability: &Capability) -> String {
    if let Capability::Network(_, Network::Named(name)) = capability {
        let lists: Vec<&str> = operator.networks.keys().map(String::as_str).collect();
        return nearest(name, &lists).map_or_else(
            || {
                format!(
                    "the lists of hosts here are {}; a single host is written with its port: `{name}:443`",
                    list(&lists)
                )
            },
            |near| format!("did you mean `{near}`?"),
        );
    }
    let tools = operator.names(Interface::Tools);
    let name = match capability {
        Capability::Secret(_, Use::Tool(tool)) => tool.as_str(),
        Capability::Tool(_)
        | Capability::Network(..)
        | Capability::Secret(..)
        | Capability::Http(_)
        | Capability::App(_) => capability.name().unwrap_or_default(),
    };
    nearest(name, &tools).map_or_else(
        || {
            let have = if tools.is_empty() { "no tools".to_owned() } else { list(&tools) };
            format!("this server has {have}; its operator adds one as `[tools.{name}]` to the server's configuration")
        },
        |near| format!("did you mean `{near}`?"),
    )
}

/// Secrets that were granted and that nobody has set.
fn unset_secrets(
    definition: &Definition,
    stage: &StageDefinition,
    granted: &Grants,
    situation: &Situation<'_>,
) -> Vec<Problem> {
    let Some(set) = situation.secrets else { return Vec::new() };
    let mut told = BTreeSet::new();
    let mut problems = Vec::new();
    for capability in granted.iter() {
        let Capability::Secret(name, _) = capability else { continue };
        let is_set = set.contains(&(None, name.clone()))
            || stage.environment.as_ref().is_some_and(|it| set.contains(&(Some(it.clone()), name.clone())));
        if is_set || !told.insert(name) {
            continue;
        }
        let set: Vec<&str> = set.iter().map(|(_, name)| name.as_str()).collect();
        problems.push(Problem {
            code: "unset-secret",
            place: Place::stage(&stage.name, &["grant", "secrets", name.as_str()]),
            message: format!("stage `{}` grants secret `{name}`, which is not set", stage.name),
            hint: Some(nearest(name.as_str(), &set).map_or_else(
                || format!("set it with `slipway secret set {} {name}`", definition.name),
                |near| format!("did you mean `{near}`?"),
            )),
        });
    }
    problems
}
