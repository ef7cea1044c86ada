//! Apps and their releases.

use super::Api;
use super::extract::{Path, Query};
use super::problem::Problem;
use super::runs::{ListQuery, cut};
use crate::clock;
use crate::store::rows::ReleaseRow;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use slipway_domain::AppName;
use utoipa::ToSchema;

/// An app.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AppView {
    /// Its name.
    name: String,
    /// Where it is reached.
    address: String,
    /// The release that has its traffic.
    live: Option<ReleaseView>,
}

/// All apps.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AppList {
    /// The apps, by name.
    apps: Vec<AppView>,
}

/// A release of an app.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReleaseView {
    /// Its id.
    id: String,
    /// The app.
    app: String,
    /// `candidate`, `live`, `previous`, `retired` or `rejected`.
    state: String,
    /// The version, when a tag gave one.
    version: Option<String>,
    /// The commit.
    revision: String,
    /// The component.
    digest: String,
    /// The run that made it.
    run: String,
    /// The pipeline of that run.
    pipeline: String,
    /// When it was made.
    created_at: String,
    /// When its state changed last.
    changed_at: String,
}

impl From<ReleaseRow> for ReleaseView {
    fn from(row: ReleaseRow) -> Self {
        let release = row.release;
        Self {
            id: release.id.to_string(),
            app: release.app.to_string(),
            state: release.state.as_str().to_owned(),
            version: release.version,
            revision: release.revision.to_string(),
            digest: release.digest.to_string(),
            run: release.run.to_string(),
            pipeline: row.pipeline,
            created_at: clock::text(row.created_at),
            changed_at: clock::text(row.changed_at),
        }
    }
}

/// The releases of an app.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReleaseList {
    /// Where the app is reached.
    address: String,
    /// The releases, newest first.
    releases: Vec<ReleaseView>,
    /// The `cursor` of the next page; nothing on the last one.
    next: Option<String>,
}

/// Lists the apps of the embedded app host.
#[utoipa::path(get, path = "/v1/apps", tag = "apps",
    responses((status = 200, body = AppList), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list_apps(State(api): State<Api>) -> Result<Json<AppList>, Problem> {
    let mut apps = Vec::new();
    for app in api.store.apps().await? {
        let name = name(app)?;
        let live = api.store.releases_in_play(name.as_str(), None).await?.into_iter().map(ReleaseView::from);
        let live = live.into_iter().find(|release| release.state == "live");
        apps.push(AppView { address: api.apps.address(&name), name: name.to_string(), live });
    }
    Ok(Json(AppList { apps }))
}

/// Lists the releases of an app.
#[utoipa::path(get, path = "/v1/apps/{app}/releases", tag = "apps", params(("app" = String, Path), ListQuery),
    responses((status = 200, body = ReleaseList), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list_releases(
    State(api): State<Api>,
    Path(app): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<ReleaseList>, Problem> {
    let name = name(app)?;
    let (before, limit) = query.page()?;
    let mut rows = api.store.releases(name.as_str(), before.as_deref(), limit + 1).await?;
    if rows.is_empty() && before.is_none() {
        return Err(Problem::missing("app", name.as_str()).hint("an app is there once a pipeline has released it"));
    }
    let next = cut(&mut rows, limit, |row| row.release.id.to_string());
    let releases = rows.into_iter().map(Into::into).collect();
    Ok(Json(ReleaseList { address: api.apps.address(&name), releases, next }))
}

/// Gives an app's traffic back to the release before the live one, at once. The live one
/// counts as rejected from then on.
#[utoipa::path(post, path = "/v1/apps/{app}/rollback", tag = "apps", params(("app" = String, Path)),
    responses((status = 200, body = ReleaseView), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn roll_back(State(api): State<Api>, Path(app): Path<String>) -> Result<Json<ReleaseView>, Problem> {
    let name = name(app)?;
    if api.store.releases(name.as_str(), None, 1).await?.is_empty() {
        return Err(Problem::missing("app", name.as_str()));
    }
    let live = api.apps.roll_back(&name).await?;
    let row = api.store.release(live.id.as_str()).await?;
    row.map(|row| Json(row.into())).ok_or_else(|| Problem::missing("release", live.id.as_str()))
}

fn name(text: String) -> Result<AppName, Problem> {
    AppName::new(text).map_err(|error| Problem::bad_request("invalid-name", error.to_string()))
}
