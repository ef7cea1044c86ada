//! Threats T50 and T55: what a tool must not do, tried with all layers of its sandbox, with each of them
//! switched off, and with none. What matters most is stopped by two layers at least; without any it works, so
//! that each attempt is seen to be one.

use crate::support::slipway;
use slipway_protocol::call::ToolPlan;
use slipway_worker::tools::launcher::{Order, Settings};
use slipway_worker::tools::layers::{Layer, Layers};
use slipway_worker::tools::sandbox::{self, Layout, Words, prepare_etc};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What is tried, as Perl that is true when it works. `$file` and `$folder` are outside of the workspace,
/// `$victim` is another process of the same user, `$port` and `$name` are where somebody outside listens.
const CRITICAL: [(&str, &str); 20] = [
    ("read a file of the host", "open(F, '<', $file) && <F> =~ /canary/"),
    ("list a folder of the host", "opendir(D, $folder) && grep { /canary/ } readdir D"),
    ("write a file of the host", "open(F, '>>', $file) && print F 'x'"),
    ("make a file of the host", "open(F, '>', \"$folder/made\")"),
    ("remove a file of the host", "unlink(\"$folder/victim\")"),
    ("rename a file of the host", "rename(\"$folder/old\", \"$folder/new\")"),
    ("link to a file of the host", "link($file, \"/tmp/slipway-probe-$$\") && unlink(\"/tmp/slipway-probe-$$\")"),
    ("read the host's passwords", "open(F, '<', '/etc/shadow') && <F> =~ /:/"),
    ("read root's folder", "opendir(D, '/root') && readdir D"),
    ("write to the system", "open(F, '>', \"/usr/slipway-probe-$$\") && unlink \"/usr/slipway-probe-$$\""),
    ("read another's environment", "open(F, '<', \"/proc/$victim/environ\") && <F> =~ /canary/"),
    ("open another's memory", "open(F, '+<', \"/proc/$victim/mem\")"),
    ("signal another", "kill(0, $victim)"),
    ("trace another", "syscall(101, 16, $victim, 0, 0) == 0"),
    ("look through another's root", "-e \"/proc/$victim/root/etc/shadow\" && opendir(D, \"/proc/$victim/root/root\")"),
    (
        "connect to the host's port",
        "use Socket; socket(S, PF_INET, SOCK_STREAM, 0) && connect(S, sockaddr_in($port, inet_aton('127.0.0.1')))",
    ),
    (
        "connect to an abstract socket",
        "use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S, pack('Sa*', 1, \"\\0$name\"))",
    ),
    (
        "mount a file system",
        "my ($t, $d) = ('tmpfs', '/tmp'); syscall(165, $t, $d, $t, 0, 0) == 0 && syscall(166, $d, 2) == 0",
    ),
    ("change the host's name", "my $o = `hostname`; chomp $o; syscall(170, $o, length $o) == 0"),
    ("enter another's namespaces", "open(F, '<', \"/proc/$victim/ns/uts\") && syscall(308, fileno F, 0) == 0"),
];

/// The world outside of a sandbox: files, a process and listeners.
struct Outside {
    folder: tempfile::TempDir,
    victim: Child,
    port: TcpListener,
    abstract_socket: UnixListener,
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.victim.kill().unwrap();
        self.victim.wait().unwrap();
    }
}

impl Outside {
    fn new() -> Self {
        // Not below a folder that every tool has, as `/tmp` is.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        for part in ["host", "worker/work/1", "worker/inputs", "worker/s"] {
            std::fs::create_dir_all(folder.path().join(part)).unwrap();
        }
        for file in ["host/canary", "host/victim", "host/old"] {
            std::fs::write(folder.path().join(file), "canary").unwrap();
        }
        sandbox::prepare(&folder.path().join("worker/s")).unwrap();
        prepare_etc(&folder.path().join("worker")).unwrap();
        let victim = Command::new("sleep").arg("600").env_clear().env("A", "canary").spawn().unwrap();
        let name = SocketAddr::from_abstract_name(format!("slipway-probe-{}", victim.id())).unwrap();
        Self {
            folder,
            port: TcpListener::bind("127.0.0.1:0").unwrap(),
            abstract_socket: UnixListener::bind_addr(&name).unwrap(),
            victim,
        }
    }

    fn script(&self) -> String {
        let host = self.folder.path().join("host");
        let port = self.port.local_addr().unwrap().port();
        assert!(self.abstract_socket.local_addr().unwrap().as_abstract_name().is_some());
        let mut script = format!(
            "my ($folder, $file, $victim, $port, $name) = ('{0}', '{0}/canary', {1}, {port}, 'slipway-probe-{1}');\n",
            host.display(),
            self.victim.id()
        );
        for (number, (_, attempt)) in CRITICAL.iter().enumerate() {
            script += &format!("print '{number} ', (eval {{ {attempt} }} ? 'works' : 'refused'), \"\\n\";\n");
        }
        script
    }

    /// What becomes of each attempt with these layers.
    fn attempts(&self, layers: &[Layer]) -> BTreeMap<&'static str, bool> {
        let worker = self.folder.path().join("worker");
        let words = Words { args: vec!["-e".into(), self.script()], ..Words::default() };
        let plan = ToolPlan { program: "/usr/bin/perl".into(), processes_max: 64, ..ToolPlan::default() };
        let order = Order {
            scratch: worker.join("s"),
            work: worker.join("work/1"),
            inputs: worker.join("inputs"),
            caches: Vec::new(),
            plan,
            words,
        };
        let init = Path::new(slipway().get_program()).to_owned();
        let settings = Settings { folder: worker, shown: Vec::new(), init };
        let layers: Layers = layers.iter().copied().collect();
        let layout = Layout { order: &order, settings: &settings, same: Vec::new(), layers: &layers, group: None };
        told(&mut sandbox::command(&layout).unwrap())
    }

    /// What becomes of each attempt outside.
    fn attempts_outside(&self) -> BTreeMap<&'static str, bool> {
        told(Command::new("perl").args(["-e", &self.script()]))
    }
}

fn told(command: &mut Command) -> BTreeMap<&'static str, bool> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let lines = text.lines().map(|line| {
        let (number, outcome) = line.split_once(' ').unwrap();
        (CRITICAL[number.parse::<usize>().unwrap()].0, outcome == "works")
    });
    lines.collect()
}

fn working(attempts: &BTreeMap<&'static str, bool>) -> Vec<&'static str> {
    attempts.iter().filter(|(_, works)| **works).map(|(name, _)| *name).collect()
}

#[test]
fn what_matters_most_is_refused_with_any_layer_switched_off() {
    let all = Outside::new().attempts(&Layer::ALL);
    assert_eq!((all.len(), working(&all)), (CRITICAL.len(), vec![]), "with all layers");
    for off in Layer::ALL {
        let others: Vec<Layer> = Layer::ALL.into_iter().filter(|layer| *layer != off).collect();
        let attempts = Outside::new().attempts(&others);
        assert_eq!((attempts.len(), working(&attempts)), (CRITICAL.len(), vec![]), "without {off:?}");
    }
}

/// As root everything works outside; others are refused what the system keeps from them.
#[test]
fn outside_they_work() {
    let outside = Outside::new().attempts_outside();
    let refused: Vec<&str> = outside.iter().filter(|(_, works)| !**works).map(|(name, _)| *name).collect();
    if rustix::process::getuid().is_root() {
        assert_eq!(refused, [""; 0]);
    } else {
        assert!(refused.len() < CRITICAL.len() / 2, "{refused:?}");
    }
}
