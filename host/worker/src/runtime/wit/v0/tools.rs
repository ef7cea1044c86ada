//! `tools`: native programs, as the operator lets them run.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other reply than a call's own is one case: a fault of the host"
)]

use super::slipway::stage::tools;
use super::{Answer, odd};
use crate::runtime::state::State;
use crate::tools::ToolProcess;
use slipway_protocol::{Call, Reply};
use wasmtime::component::Resource;

/// A tool that a guest has started.
pub struct Process(ToolProcess);

impl tools::Host for State {
    async fn start(&mut self, command: tools::Command) -> Answer<Resource<Process>> {
        let call = Call::StartTool {
            tool: command.tool.clone(),
            program: command.program.clone(),
            args: command.args.clone(),
            directory: command.directory.clone(),
            env: command.env.iter().map(|(name, _)| name.clone()).collect(),
        };
        let (seq, reply) = self.session.numbered_call(call).await?;
        let plan = match reply {
            Reply::Tool(plan) => plan,
            Reply::Refused(failure) => return Ok(Err(failure.into())),
            other => return odd(&other),
        };
        match self.session.start_tool(seq, plan, command).await {
            Ok(process) => Ok(Ok(self.table.push(Process(process))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

impl tools::HostProcess for State {
    async fn next(&mut self, process: Resource<Process>) -> wasmtime::Result<Option<tools::Output>> {
        let output = self.table.get_mut(&process)?.0.next().await;
        Ok(output.map(|(name, bytes)| tools::Output { name: name.to_owned(), bytes }))
    }

    async fn wait(&mut self, process: Resource<Process>) -> Answer<tools::Exit> {
        let exit = self.table.get_mut(&process)?.0.wait().await;
        Ok(exit
            .map(|exit| tools::Exit {
                code: exit.code,
                signal: exit.signal,
                cpu_ms: exit.cpu_ms,
                memory_peak_bytes: exit.memory_peak_bytes,
                wall_ms: exit.wall_ms,
            })
            .map_err(Into::into))
    }

    async fn kill(&mut self, process: Resource<Process>) -> wasmtime::Result<()> {
        self.table.get_mut(&process)?.0.kill();
        Ok(())
    }

    async fn drop(&mut self, process: Resource<Process>) -> wasmtime::Result<()> {
        self.table.delete(process)?;
        Ok(())
    }
}
