//! The plugins that come with the binary.

use crate::error::Told;
use crate::files;
use bytes::Bytes;
use std::path::Path;

include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// The built-in plugins, and those of a folder, which win over built-in ones of their name.
pub(crate) fn plugins(folder: Option<&Path>) -> anyhow::Result<Vec<(String, Bytes)>> {
    let mut plugins: Vec<(String, Bytes)> =
        BUILT_IN.iter().map(|(name, bytes)| ((*name).to_owned(), Bytes::from_static(bytes))).collect();
    if let Some(folder) = folder {
        let unreadable = || Told::usage("unreadable", format!("cannot read the plugins in `{}`", folder.display()));
        let entries = std::fs::read_dir(folder).map_err(|error| unreadable().because(error))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "wasm") {
                continue;
            }
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let bytes = files::named(&path, files::COMPONENT_BYTES_MAX, "plugin")?;
            plugins.retain(|(known, _)| *known != name);
            plugins.push((name, bytes.into()));
        }
    }
    Ok(plugins)
}
