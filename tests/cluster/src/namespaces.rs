//! Two switches with a cable between them, and hosts at each: network namespaces, as root on Linux may make them.

use std::process::Command;

use crate::Fault;

/// Two switches, a cable between them, and hosts at either one. Everything is taken away in the end.
///
/// Nothing of it touches the network of the machine: the switches have a namespace of their own too.
#[derive(Debug)]
pub struct Namespaces {
    prefix: String,
    hosts: usize,
}

impl Namespaces {
    /// Hosts, the first half of them at one switch and the others at the other one.
    ///
    /// # Errors
    ///
    /// [`Fault::Command`], also where this is not allowed.
    pub fn new(hosts: usize) -> Result<Self, Fault> {
        let made = Self { prefix: format!("qis{}", std::process::id()), hosts };
        let switch = made.switch();
        ip(&["netns", "add", &switch])?;
        for bridge in ["left", "right"] {
            ip(&["-n", &switch, "link", "add", bridge, "type", "bridge"])?;
            ip(&["-n", &switch, "link", "set", bridge, "up"])?;
        }
        ip(&["-n", &switch, "link", "add", "cable-l", "type", "veth", "peer", "name", "cable-r"])?;
        for (end, bridge) in [("cable-l", "left"), ("cable-r", "right")] {
            ip(&["-n", &switch, "link", "set", end, "master", bridge, "up"])?;
        }
        for host in 0..hosts {
            let (name, port) = (made.host(host), format!("port{host}"));
            let (bridge, address) = (if made.is_left(host) { "left" } else { "right" }, made.address(host));
            ip(&["netns", "add", &name])?;
            ip(&[
                "-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name,
            ])?;
            ip(&["-n", &switch, "link", "set", &port, "master", bridge, "up"])?;
            ip(&["-n", &name, "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
            for link in ["lo", "eth0"] {
                ip(&["-n", &name, "link", "set", link, "up"])?;
            }
        }
        Ok(made)
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.prefix)
    }

    /// The name of a host.
    #[must_use]
    pub fn host(&self, host: usize) -> String {
        format!("{}-{host}", self.prefix)
    }

    /// The address of a host.
    #[must_use]
    pub fn address(&self, host: usize) -> String {
        format!("10.77.0.{}", host + 1)
    }

    /// Whether a host is at the first switch.
    #[must_use]
    pub const fn is_left(&self, host: usize) -> bool {
        host < self.hosts / 2
    }

    /// Cuts the cable, or restores it.
    ///
    /// # Errors
    ///
    /// [`Fault::Command`].
    pub fn set_cable(&self, works: bool) -> Result<(), Fault> {
        let state = if works { "up" } else { "down" };
        ip(&["-n", &self.switch(), "link", "set", "cable-l", state])
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // One that was not made is not there.
        for name in (0..self.hosts).map(|host| self.host(host)).chain([self.switch()]) {
            let _ = ip(&["netns", "del", &name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), Fault> {
    let command = format!("ip {}", arguments.join(" "));
    let failed = |problem: String| Fault::Command { command, problem };
    match Command::new("ip").args(arguments).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}
