//! What the server says, as far as the demo reads it. A field that is not needed may be
//! absent, so that the demo shows what happened instead of what it could not read.

use std::path::PathBuf;

use serde::Deserialize;

/// The line that the server prints when it is ready.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Ready {
    /// Where the API is.
    pub(super) api: String,
    /// Where apps are; `{app}` stands for the name.
    pub(super) apps: String,
    /// The file with the token for the API.
    pub(super) token_file: PathBuf,
}

/// A run.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) stages: Vec<Stage>,
}

impl Run {
    /// Whether it will not change any more.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "passed" | "failed" | "errored" | "cancelled")
    }

    /// Finds a stage.
    pub(super) fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }
}

/// A stage of a run.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) phase: Option<String>,
    #[serde(default)]
    pub(super) duration_ms: Option<f64>,
    #[serde(default)]
    pub(super) failure: Option<Failure>,
    #[serde(default)]
    pub(super) fault: Option<serde_json::Value>,
    #[serde(default)]
    pub(super) rollback: Option<serde_json::Value>,
}

impl Stage {
    /// Whether it will not change any more.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "passed" | "failed" | "errored" | "cancelled" | "skipped")
    }

    /// The code of what the plugin said is wrong.
    pub(super) fn code(&self) -> &str {
        self.failure.as_ref().map_or("", |failure| &failure.code)
    }

    /// Why it did not pass, in words.
    pub(super) fn reason(&self) -> Option<String> {
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
pub(super) struct Failure {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}

/// A part of a run's log.
#[derive(Debug, Deserialize)]
pub(super) struct Logs {
    pub(super) entries: Vec<Entry>,
    #[serde(default)]
    pub(super) next: Option<u64>,
}

/// A line of a log.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(default)]
    pub(super) stage: Option<String>,
    #[serde(default)]
    pub(super) level: String,
    #[serde(default)]
    pub(super) message: String,
}

/// Why a request was refused.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) detail: String,
    #[serde(default)]
    pub(super) hint: Option<String>,
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
