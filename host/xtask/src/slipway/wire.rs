//! What the server says, as far as it is read here. A field that is not needed may be
//! absent, so that the demo shows what happened instead of what it could not read.

use std::path::PathBuf;

use serde::Deserialize;

/// The line that the server prints when it is ready.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Ready {
    /// Where the API is.
    pub(crate) api: String,
    /// Where apps are; `{app}` stands for the name.
    pub(crate) apps: String,
    /// The file with the token for the API.
    pub(crate) token_file: PathBuf,
}

/// A run.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) stages: Vec<Stage>,
}

impl Run {
    /// Whether it will not change any more.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "passed" | "failed" | "errored" | "cancelled")
    }

    /// Finds a stage.
    pub(crate) fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }
}

/// A stage of a run.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) phase: Option<String>,
    #[serde(default)]
    pub(crate) duration_ms: Option<f64>,
    #[serde(default)]
    pub(crate) failure: Option<Failure>,
    #[serde(default)]
    pub(crate) fault: Option<serde_json::Value>,
    #[serde(default)]
    pub(crate) rollback: Option<serde_json::Value>,
    #[serde(default)]
    pub(crate) attempts: Vec<Attempt>,
}

/// An attempt at a stage.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Attempt {
    #[serde(default)]
    pub(crate) metering: Option<Metering>,
}

/// What an attempt took.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Metering {
    #[serde(default)]
    pub(crate) first_call_us: Option<f64>,
}

impl Stage {
    /// Whether it will not change any more.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "passed" | "failed" | "errored" | "cancelled" | "skipped")
    }

    /// The code of what the plugin said is wrong.
    pub(crate) fn code(&self) -> &str {
        self.failure.as_ref().map_or("", |failure| &failure.code)
    }

    /// Why it did not pass, in words.
    pub(crate) fn reason(&self) -> Option<String> {
        if let Some(failure) = &self.failure {
            return Some(failure.message.clone());
        }
        let fault = self.fault.as_ref().filter(|fault| !fault.is_null())?;
        let message = fault.get("message").and_then(serde_json::Value::as_str);
        Some(message.map_or_else(|| fault.to_string(), str::to_owned))
    }
}

/// Why a plugin said no.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Failure {
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
}

/// A part of a run's log.
#[derive(Debug, Deserialize)]
pub(crate) struct Logs {
    pub(crate) entries: Vec<Entry>,
    #[serde(default)]
    pub(crate) next: Option<u64>,
}

/// A line of a log.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    #[serde(default)]
    pub(crate) stage: Option<String>,
    #[serde(default)]
    pub(crate) level: String,
    #[serde(default)]
    pub(crate) message: String,
}

/// Why a request was refused.
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) hint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_whatever_else_it_says() {
        let run: Run = serde_json::from_value(serde_json::json!({
            "id": "01", "pipeline": "hello", "reference": "v1.0.2", "state": "failed", "new": 1,
            "stages": [
                {"name": "build", "kind": "build", "state": "passed", "duration_ms": 12.5, "failure": null},
                {"name": "deploy", "state": "failed", "failure": {"code": "unhealthy", "message": "no", "details": []}},
                {"name": "later", "state": "errored", "fault": {"code": "trap", "message": "it trapped"}},
            ],
        }))
        .unwrap();
        assert!(run.has_ended());
        assert_eq!(run.stage("build").unwrap().reason(), None);
        assert_eq!(run.stage("deploy").unwrap().code(), "unhealthy");
        assert_eq!(run.stage("later").unwrap().reason().as_deref(), Some("it trapped"));
        assert!(run.stage("nothing").is_none());
    }
}
