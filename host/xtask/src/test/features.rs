//! That the whole product and all of the workspace select the same features of what they
//! share, so that nothing is compiled twice (see `host/features/Cargo.toml`).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::PACKAGE;
use super::counts::Counts;
use crate::env::Env;
use crate::process;
use crate::ui::{self, Mark, Step};

/// Packages, each with the sets of features that it is compiled with.
type Selected = BTreeMap<String, BTreeSet<BTreeSet<String>>>;

/// Compares what the two select.
pub(super) fn run(env: &Env) -> Result<Counts> {
    let step = Step::new("lint: features of dependencies");
    let alone = selected(env, &["--package", PACKAGE, "--edges", "normal,build"])?;
    let all = selected(env, &["--workspace", "--edges", "normal,build,dev"])?;
    let told = differences(&alone, &all);
    step.end(if told.is_empty() { Mark::Good } else { Mark::Bad }, "");
    for line in &told {
        ui::line(line);
    }
    Ok(Counts::one(told.is_empty()))
}

fn selected(env: &Env, arguments: &[&str]) -> Result<Selected> {
    let mut command = env.cargo();
    command.args(["tree", "--locked", "--prefix", "none", "--format", "{p}\t{f}"]).args(arguments);
    Ok(parse(&process::ask(command)?))
}

fn parse(text: &str) -> Selected {
    let mut selected = Selected::new();
    for (package, features) in text.lines().filter_map(|line| line.split_once('\t')) {
        let features = features.trim_end_matches("(*)").trim();
        let features = features.split(',').filter(|feature| !feature.is_empty()).map(str::to_owned).collect();
        // Behind name and version stands where a package of the workspace is.
        let package = package.split(" (").next().unwrap_or(package).to_owned();
        selected.entry(package).or_default().insert(features);
    }
    selected
}

/// What differs, as lines for people: none if every package of the product is compiled with
/// features that the workspace compiles it with too.
fn differences(alone: &Selected, all: &Selected) -> Vec<String> {
    let mut lines = Vec::new();
    let none = BTreeSet::new();
    for (package, sets) in alone {
        let known = all.get(package).unwrap_or(&none);
        for features in sets.difference(known) {
            let union: BTreeSet<&String> = known.iter().flatten().collect();
            let missing: Vec<String> = union
                .iter()
                .filter(|feature| !features.contains(**feature))
                .map(|feature| format!("\"{feature}\""))
                .collect();
            let name = package.split(' ').next().unwrap_or(package);
            lines.push(format!("{package} is compiled once more for `cargo build -p {PACKAGE}`:"));
            lines.push(format!("  for {PACKAGE}        {}", list(features)));
            lines.extend(known.iter().map(|features| format!("  for the workspace  {}", list(features))));
            lines.push(format!(
                "  add to `[dependencies]` in host/features/Cargo.toml: {name} = {{ workspace = true, features = [{}] }}",
                missing.join(", ")
            ));
        }
    }
    lines
}

fn list(features: &BTreeSet<String>) -> String {
    features.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_features_are_no_difference() {
        let alone = parse("slipway v0.1.0 (/somewhere)\t\ntokio v1.0.0\tfs,net\ntokio v1.0.0\tfs,net (*)\n");
        let all = parse("tokio v1.0.0\tnet,fs\nslipway v0.1.0 (/somewhere)\t\nproptest v1.0.0\tstd\n");
        assert_eq!(differences(&alone, &all), [""; 0]);
    }

    #[test]
    fn a_difference_is_told_with_what_to_add() {
        let alone = parse("tokio v1.0.0\tfs,net\n");
        let all = parse("tokio v1.0.0\tfs,net,test-util,time\n");
        assert_eq!(
            differences(&alone, &all),
            [
                "tokio v1.0.0 is compiled once more for `cargo build -p slipway`:",
                "  for slipway        fs,net",
                "  for the workspace  fs,net,test-util,time",
                "  add to `[dependencies]` in host/features/Cargo.toml: \
                 tokio = { workspace = true, features = [\"test-util\", \"time\"] }",
            ]
        );
    }
}
