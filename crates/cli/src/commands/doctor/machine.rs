//! What the kernel and the machine offer.

use std::fs;
use std::net::{TcpListener, ToSocketAddrs};
use std::path::Path;

use super::Check;
use crate::commands::up;
use crate::output;

/// Oldest kernel with everything the platform calls (`pidfd_open`, `close_range`).
const KERNEL_MIN: (u32, u32) = (5, 9);
/// Open files for a gateway with a thousand clients and their instances.
const FILES_MIN: u64 = 4_096;
/// The namespaces a full sandbox uses.
const NAMESPACES: [&str; 7] = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"];

pub(super) fn checks(data_dir: Option<&Path>) -> Vec<Check> {
    vec![
        kernel(),
        cores(),
        memory(),
        data_folder(data_dir),
        port("gateway port", up::GATEWAY_DEFAULT, "--gateway"),
        port("api port", up::API_DEFAULT, "--api"),
        localhost_names(),
        open_files(),
        namespaces(),
        user_namespaces(),
        cgroups(),
        device("kvm", "/dev/kvm", "micro-VM sandboxes (later)"),
        userfaultfd(),
    ]
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn kernel() -> Check {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned());
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let needed_for = "everything";
    if version >= KERNEL_MIN {
        return Check::ok("linux kernel", needed_for, release);
    }
    let help = format!("use Linux {}.{} or newer", KERNEL_MIN.0, KERNEL_MIN.1);
    Check::lacking("linux kernel", needed_for, release, help).broken()
}

fn cores() -> Check {
    let needed_for = "starts at once, one gateway thread each";
    match std::thread::available_parallelism() {
        Ok(cores) => Check::ok("cores", needed_for, cores.to_string()),
        Err(error) => Check::lacking("cores", needed_for, error.to_string(), "is /proc mounted?"),
    }
}

fn memory() -> Check {
    let needed_for = "instances";
    let info = read("/proc/meminfo").unwrap_or_default();
    let available = info.lines().find_map(|line| {
        let kib = line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?;
        kib.parse::<u64>().ok()
    });
    match available {
        Some(kib) => {
            Check::ok("memory", needed_for, format!("{} available", output::bytes(kib << 10)))
        }
        None => Check::lacking("memory", needed_for, "unknown", "is /proc mounted?"),
    }
}

fn data_folder(data_dir: Option<&Path>) -> Check {
    let (name, needed_for) = ("data folder", "declared functions, compiled code");
    let folder = match data_dir.map(Path::to_owned).map_or_else(up::default_data_dir, Ok) {
        Ok(folder) => folder,
        Err(failure) => {
            let help = "set HOME, or give --data-dir DIR";
            return Check::lacking(name, needed_for, failure.to_string(), help).broken();
        }
    };
    // Looks where the folder would be made, and makes nothing that stays.
    let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let place = folder.display().to_string();
    match tempfile::tempfile_in(existing) {
        Ok(_) => Check::ok(name, needed_for, place),
        Err(error) => {
            let found = format!("{}: {error}", existing.display());
            let help = "give `gapless up` a folder you may write to: --data-dir DIR";
            Check::lacking(name, needed_for, found, help).broken()
        }
    }
}

fn port(name: &'static str, address: &str, flag: &str) -> Check {
    let needed_for = "gapless up";
    match TcpListener::bind(address) {
        Ok(_) => Check::ok(name, needed_for, format!("{address} is free")),
        Err(error) => {
            let found = format!("{address}: {error}");
            let help =
                format!("fine if gapless runs already; else `gapless up {flag} 127.0.0.1:PORT`");
            Check::lacking(name, needed_for, found, help)
        }
    }
}

fn localhost_names() -> Check {
    let (name, needed_for) = ("*.localhost names", "http://NAME.NAMESPACE.localhost:PORT/");
    let host = "name.default.localhost";
    let found = (host, 0).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    let is_loopback = |addresses: &Vec<std::net::SocketAddr>| {
        !addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback())
    };
    match found {
        Ok(addresses) if is_loopback(&addresses) => {
            Check::ok(name, needed_for, format!("{host} is {}", addresses[0].ip()))
        }
        Ok(_) => Check::lacking(name, needed_for, format!("{host} is not loopback"), RESOLVE),
        Err(_) => Check::lacking(name, needed_for, "do not resolve", RESOLVE),
    }
}

const RESOLVE: &str = "browsers and curl resolve them by themselves; other programs can use \
    http://127.0.0.1:PORT/fn/NAMESPACE/NAME/, a Host header, or nss-myhostname \
    (`apt-get install libnss-myhostname`)";

fn open_files() -> Check {
    let (name, needed_for) = ("open files", "connections and instances at once");
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    // `gapless up` raises its own limit as far as it may.
    let most = limit.maximum.unwrap_or(u64::MAX);
    let found = if most == u64::MAX { "unlimited".to_owned() } else { most.to_string() };
    if most >= FILES_MIN {
        return Check::ok(name, needed_for, found);
    }
    let help = format!(
        "`ulimit -Hn {FILES_MIN}` as root before `gapless up`, or LimitNOFILE= in its unit"
    );
    Check::lacking(name, needed_for, found, help)
}

fn namespaces() -> Check {
    let (name, needed_for) = ("namespaces", "isolated processes (later)");
    let is_there = |kind: &&&str| Path::new("/proc/self/ns").join(kind).exists();
    let there: Vec<&str> = NAMESPACES.iter().filter(is_there).copied().collect();
    if there.len() == NAMESPACES.len() {
        return Check::ok(name, needed_for, there.join(" "));
    }
    let found = if there.is_empty() { "none".to_owned() } else { there.join(" ") };
    Check::lacking(name, needed_for, found, "use a kernel built with all of CONFIG_NAMESPACES")
}

fn user_namespaces() -> Check {
    let (name, needed_for) = ("user namespaces", "isolated processes without root (later)");
    let count =
        read("/proc/sys/user/max_user_namespaces").and_then(|text| text.parse::<u64>().ok());
    let is_denied = |path: &str, denied: &str| read(path).is_some_and(|text| text == denied);
    let help = "`sysctl user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1` as root";
    if count.is_none_or(|count| count == 0) {
        return Check::lacking(name, needed_for, "switched off", help);
    }
    if is_denied("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return Check::lacking(name, needed_for, "only for root", help);
    }
    if is_denied("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        let help = "`sysctl kernel.apparmor_restrict_unprivileged_userns=0` as root";
        return Check::lacking(name, needed_for, "restricted by AppArmor", help);
    }
    Check::ok(name, needed_for, format!("up to {}", count.unwrap_or(0)))
}

/// Controllers that limit an instance.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

fn cgroups() -> Check {
    let (name, needed_for) = ("cgroups", "processor and memory limits (later)");
    let v2 = ["/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"];
    let v2: String = v2.iter().find_map(|path| read(path)).unwrap_or_default();
    let is_v2 = |controller: &str| v2.split_whitespace().any(|name| name == controller);
    let is_v1 = |controller: &str| Path::new("/sys/fs/cgroup").join(controller).is_dir();
    if CONTROLLERS.iter().all(|controller| is_v2(controller)) {
        return Check::ok(name, needed_for, format!("v2: {v2}"));
    }
    if CONTROLLERS.iter().all(|controller| is_v1(controller)) {
        let also = if v2.is_empty() { String::new() } else { format!("; v2: {v2}") };
        return Check::ok(name, needed_for, format!("v1: {}{also}", CONTROLLERS.join(" ")));
    }
    let help = "mount cgroup2 on /sys/fs/cgroup (systemd does), with cpu, memory and pids";
    Check::lacking(name, needed_for, format!("v2: {v2:?}"), help)
}

fn device(name: &'static str, path: &str, needed_for: &'static str) -> Check {
    match fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => Check::ok(name, needed_for, path),
        Err(error) => {
            let help = "switch on virtualisation in the firmware, or join the group `kvm`: \
                        `usermod -aG kvm $USER`";
            Check::lacking(name, needed_for, format!("{path}: {error}"), help)
        }
    }
}

fn userfaultfd() -> Check {
    let (name, needed_for) = ("userfaultfd", "restoring instances lazily (later)");
    let unprivileged = read("/proc/sys/vm/unprivileged_userfaultfd");
    let is_root = rustix::process::geteuid().is_root();
    let opens = fs::OpenOptions::new().read(true).write(true).open("/dev/userfaultfd").is_ok();
    match unprivileged.as_deref() {
        Some("1") => Check::ok(name, needed_for, "for everybody"),
        Some(_) if is_root || opens => Check::ok(name, needed_for, "for this user"),
        Some(_) => {
            let help = "`sysctl vm.unprivileged_userfaultfd=1` as root";
            Check::lacking(name, needed_for, "only for root", help)
        }
        None => {
            let help = "use a kernel built with CONFIG_USERFAULTFD";
            Check::lacking(name, needed_for, "not in this kernel", help)
        }
    }
}
