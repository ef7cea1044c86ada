//! The arguments of `slipway secret`.

use super::Server;
use super::values::{pipeline_name, secret_name};
use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

#[derive(Debug, ClapArgs)]
pub(crate) struct SecretCommand {
    #[command(subcommand)]
    pub(crate) command: SecretAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretAction {
    /// Set a secret, or give it another value. The value is asked for, or read from standard input.
    #[command(after_help = "\
Examples:
  slipway secret set shop npm-token                      # asks for the value, and does not show it
  slipway secret set shop npm-token < token.txt          # without the line break at its end
  slipway secret set shop db-url --environment production --file url.txt")]
    Set {
        #[command(flatten)]
        secret: Secret,
        /// Take the value from this file, byte for byte, and not from standard input.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        server: Server,
    },
    /// List the secrets of a pipeline. Values are never shown.
    List {
        /// The pipeline.
        #[arg(value_parser = pipeline_name)]
        pipeline: String,
        #[command(flatten)]
        server: Server,
    },
    /// Remove a secret. Stages that are granted it are refused from now on.
    Remove {
        #[command(flatten)]
        secret: Secret,
        #[command(flatten)]
        server: Server,
    },
    /// Put all secrets of the server under a new key, and throw the old key away.
    Rotate {
        #[command(flatten)]
        server: Server,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Secret {
    /// The pipeline.
    #[arg(value_parser = pipeline_name)]
    pub(crate) pipeline: String,
    /// The secret's name.
    #[arg(value_parser = secret_name)]
    pub(crate) name: String,
    /// The environment that it is for; without it, it is for all of the pipeline.
    #[arg(long, value_name = "NAME", value_parser = pipeline_name)]
    pub(crate) environment: Option<String>,
}
