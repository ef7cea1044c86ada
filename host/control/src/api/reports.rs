//! Reports: test cases and planned changes.

use super::Api;
use super::extract::Path;
use super::problem::Problem;
use super::runs::known;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What the stages of a run have reported.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReportView {
    /// How many tests passed.
    passed: usize,
    /// How many failed.
    failed: usize,
    /// How many were skipped.
    skipped: usize,
    /// The tests.
    test_cases: Vec<TestCaseView>,
    /// What `plan` said would change.
    changes: Vec<ChangeView>,
}

/// One test.
#[derive(Debug, Serialize, ToSchema)]
struct TestCaseView {
    /// The stage that reported it.
    stage: String,
    /// The suite.
    suite: String,
    /// Its name.
    name: String,
    /// `passed`, `failed` or `skipped`.
    outcome: String,
    /// How long it took, in microseconds.
    time_us: Option<u64>,
    /// Why it failed or was skipped.
    message: Option<String>,
    /// More facts, such as `file`, `line` and `stdout`. Of those with the same name, the last.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<String, String>,
}

/// One change that a deployment would make.
#[derive(Debug, Serialize, ToSchema)]
struct ChangeView {
    /// The stage that planned it.
    stage: String,
    /// A verb.
    action: String,
    /// What would change.
    object: String,
    /// As it was.
    before: Option<String>,
    /// As it would be.
    after: Option<String>,
}

/// Shows what the stages of a run have reported.
#[utoipa::path(get, path = "/v1/runs/{run}/reports", tag = "reports", params(("run" = String, Path)),
    responses((status = 200, body = ReportView), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn get_reports(State(api): State<Api>, Path(run): Path<String>) -> Result<Json<ReportView>, Problem> {
    let id = known(&api, &run).await?;
    let cases = api.store.test_cases(id.as_str()).await?;
    let count = |outcome: &str| cases.iter().filter(|row| row.case.outcome == outcome).count();
    let (passed, failed, skipped) = (count("passed"), count("failed"), count("skipped"));
    let test_cases = cases.into_iter().map(|row| TestCaseView {
        stage: row.stage,
        suite: row.case.suite,
        name: row.case.name,
        outcome: row.case.outcome,
        time_us: row.case.time_us,
        message: row.case.message,
        details: row.case.details.into_iter().collect(),
    });
    let changes = api.store.changes(id.as_str()).await?.into_iter().map(|row| ChangeView {
        stage: row.stage,
        action: row.action,
        object: row.object,
        before: row.before,
        after: row.after,
    });
    Ok(Json(ReportView { passed, failed, skipped, test_cases: test_cases.collect(), changes: changes.collect() }))
}
