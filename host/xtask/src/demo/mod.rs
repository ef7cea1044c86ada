//! `cargo xtask demo`: a tag becomes a live app, a broken one does not.
//!
//! Everything here goes over HTTP, as any other program would do it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::env::Env;
use crate::slipway::api::Api;
use crate::slipway::server::{Addresses, Server, Start};
use crate::slipway::wire::Ready;
use crate::ui::{self, Colour, Mark, Step};
use crate::{guests, interrupt, sandbox, slipway, toolchain};
use app::App;
use repository::Repository;

mod app;
mod load;
mod repository;
mod story;
mod watch;

/// Shows Slipway at work: three tags of a small app, of which one goes live.
///
/// `v1.0.0` is built, tested and deployed, and answers. `v1.0.1` has a bug that its tests
/// find. `v1.0.2` passes its tests but is not healthy when it starts, and is rolled back
/// while requests go on. Builds what it needs first; the second time is fast.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// End when all is shown, instead of leaving the server running until Ctrl-C
    #[arg(long)]
    pub(crate) once: bool,
    /// The port of the API; the apps get the next one [default: free ones]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..65535))]
    pub(crate) port: Option<u16>,
    /// Keep repository and data in this folder, which has to be new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(env: &Env, arguments: &Arguments) -> Result<ExitCode> {
    interrupt::install()?;
    let started = Instant::now();
    let home = Home::new(arguments.keep.as_deref())?;
    let toolchain = toolchain::ensure(env)?;
    guests::build(env, &toolchain)?;
    sandbox::ensure(env)?;
    let program = slipway::build(env)?;

    let repository = Repository::create(&env.root.join("tests").join("app"), &home.path().join("hello"))?;
    let addresses = Addresses::new(arguments.port);
    let step = Step::new("start the server");
    let toolchain = Some(toolchain.root.as_path());
    let mut server = Server::start(env, Start { program: &program, home: home.path(), toolchain, addresses })?;
    step.end(Mark::Good, &server.ready.api);
    let api = Api::new(&server.ready)?;
    let app = App::new("hello", &server.ready)?;
    story::tell(&api, &app, &repository).map_err(|error| server.explain(error))?;

    ui::line(&format!("\nAll of it took {}.", ui::seconds(started.elapsed())));
    let ready = server.ready.clone();
    if arguments.once {
        server.stop()?;
        ui::line("The server is stopped. Without `--once` it goes on, and this is where to look:\n");
        where_to_look(&ready, &app);
        return Ok(ExitCode::SUCCESS);
    }
    ui::line("This is where to look:\n");
    where_to_look(&ready, &app);
    ui::line("\nThe server runs until you press Ctrl-C.");
    server.attend()?;
    ui::line("\nStopped.");
    Ok(ExitCode::SUCCESS)
}

fn where_to_look(ready: &Ready, app: &App) {
    let bold = |text: &str| Colour::Bold.paint(text);
    let (api, token) = (&ready.api, ready.token_file.display());
    ui::line(&format!("{}  {}/items", bold("the app"), app.address));
    ui::line(&format!("         curl -H 'Host: {}' {}/items", app.host, app.loopback()));
    ui::line(&format!("{}  {api}", bold("the API")));
    ui::line(&format!("         curl -H \"Authorization: Bearer $(cat '{token}')\" {api}/v1/apps/hello/releases"));
}

/// The folder that everything is in.
enum Home {
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Home {
    fn new(keep: Option<&Path>) -> Result<Self> {
        let Some(folder) = keep else {
            let folder = tempfile::Builder::new().prefix("slipway-demo-").tempdir();
            return Ok(Self::Temporary(folder.context("cannot make a temporary folder")?));
        };
        let folder = std::path::absolute(folder)?;
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        if !crate::files::list(&folder)?.is_empty() {
            bail!("`{}` is not empty: name a new folder for the demo", folder.display());
        }
        Ok(Self::Kept(folder))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(folder) => folder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(&folder.path().join("new"))).unwrap();
        assert!(home.path().is_dir());
        assert!(Home::new(Some(folder.path())).is_err());
    }

    #[test]
    fn a_temporary_folder_goes_with_its_holder() {
        let home = Home::new(None).unwrap();
        let path = home.path().to_owned();
        drop(home);
        assert!(!path.exists());
    }
}
