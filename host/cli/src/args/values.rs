//! What single values may be: checked before anything is asked.

use slipway_domain::grant::Tier;
use slipway_domain::name::InvalidName;
use slipway_domain::{AppName, PipelineName, RunId, SecretName, StageName};

pub(super) fn pipeline_name(text: &str) -> Result<String, InvalidName> {
    PipelineName::new(text).map(|name| name.to_string())
}

pub(super) fn stage_name(text: &str) -> Result<String, InvalidName> {
    StageName::new(text).map(|name| name.to_string())
}

pub(super) fn tier(text: &str) -> Result<Tier, String> {
    let words = Tier::ALL.map(|tier| format!("`{}`", tier.as_str())).join(", ");
    Tier::parse(text).ok_or_else(|| format!("the trust tiers are {words}"))
}

pub(super) fn secret_name(text: &str) -> Result<String, InvalidName> {
    SecretName::new(text).map(|name| name.to_string())
}

pub(super) fn app_name(text: &str) -> Result<String, InvalidName> {
    AppName::new(text).map(|name| name.to_string())
}

pub(super) fn run_id(text: &str) -> Result<String, InvalidName> {
    RunId::new(text).map(|id| id.to_string())
}

pub(super) fn token_name(text: &str) -> Result<String, InvalidName> {
    // The rule is that of the other names that people give.
    PipelineName::new(text).map(|name| name.to_string()).map_err(|error| InvalidName { kind: "a token name", ..error })
}

pub(super) fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write NAME=VALUE".to_owned()),
    }
}
