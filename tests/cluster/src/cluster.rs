//! Nodes that run, what is asked of them, and what they say.

use std::collections::BTreeMap;
use std::fs;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Heard, Process, last_words};
use crate::{DOMAIN, Entry, Fault, HISTORY, History, Name, Settings, Site};

/// How long to wait for anything that nodes do by themselves.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often to look at what does not tell.
const LOOK: Duration = Duration::from_millis(50);
/// Between two outcomes of a node that nobody else has found, or not all.
const STATE_AGAIN: Duration = Duration::from_secs(1);
/// Time for nodes to end in order.
const LAST: Duration = Duration::from_secs(60);

/// Nodes that run as processes, and the history of what they were asked and said.
///
/// Nothing here waits for one node while others talk: every call that waits takes in what comes from all.
#[derive(Debug)]
pub struct Cluster {
    settings: Settings,
    sites: Vec<Site>,
    processes: Vec<Option<Process>>,
    /// How often each was started.
    lives: Vec<u32>,
    /// The number of each one's next outcome.
    next: Vec<u32>,
    heard: Receiver<Heard>,
    tell: Sender<Heard>,
    history: History,
    ids: u64,
    waiting: BTreeMap<u64, Waiting>,
    answers: BTreeMap<u64, Value>,
}

/// What a request was.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Emission { site: usize, life: u32, number: u32 },
    Answer,
}

impl Cluster {
    /// Nodes that do not run yet. Their files are in the folder of the settings, the history too.
    ///
    /// # Errors
    ///
    /// [`Fault::Io`].
    pub fn new(settings: Settings, sites: Vec<Site>) -> Result<Self, Fault> {
        let folder = &settings.folder;
        fs::create_dir_all(folder).map_err(Fault::io(format!("cannot make {}", folder.display())))?;
        let history = History::create(&folder.join(HISTORY))?;
        let (tell, heard) = channel();
        let count = sites.len();
        Ok(Self {
            settings,
            sites,
            processes: (0..count).map(|_| None).collect(),
            lives: vec![0; count],
            next: vec![1; count],
            heard,
            tell,
            history,
            ids: 0,
            waiting: BTreeMap::new(),
            answers: BTreeMap::new(),
        })
    }

    /// The nodes.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// What was asked and said so far.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// The authors' ids, each in its node's place.
    #[must_use]
    pub fn authors(&self) -> Vec<String> {
        self.sites.iter().map(Site::author).collect()
    }

    /// The process of a node that runs.
    #[must_use]
    pub fn process_id(&self, site: usize) -> Option<u32> {
        self.processes.get(site)?.as_ref().map(Process::id)
    }

    /// Starts the first node, learns its address from it, and starts the others with that and nothing else.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub fn start_from_one_address(&mut self) -> Result<(), Fault> {
        for site in &self.sites {
            site.write(&self.settings, &[])?;
        }
        self.start(0)?;
        self.until("the first node answers", PATIENCE, |cluster| Ok(cluster.is_up(0)))?;
        let status = self.ask(0, &json!({"status":{}}))?;
        let address = status["address"].as_str().unwrap_or_default().to_owned();
        for number in 1..self.sites.len() {
            self.sites[number].write(&self.settings, std::slice::from_ref(&address))?;
            self.start(number)?;
        }
        Ok(())
    }

    /// Starts a node that does not run.
    ///
    /// # Errors
    ///
    /// [`Fault::Io`].
    pub fn start(&mut self, site: usize) -> Result<(), Fault> {
        let life = self.lives[site];
        self.processes[site] = Some(Process::start(&self.sites[site], &self.settings, life)?);
        self.lives[site] += 1;
        self.history.add(Entry::Started { site, life })
    }

    /// Kills a node. Returns whether it ran.
    ///
    /// # Errors
    ///
    /// [`Fault::Io`].
    pub fn kill(&mut self, site: usize) -> Result<bool, Fault> {
        let Some(mut process) = self.processes[site].take() else { return Ok(false) };
        process.kill().map_err(Fault::io(format!("node {site} cannot be killed")))?;
        self.history.add(Entry::Killed { site, life: process.life })?;
        Ok(true)
    }

    /// Whether a node runs and can be asked.
    #[must_use]
    pub fn is_up(&self, site: usize) -> bool {
        self.processes[site].as_ref().is_some_and(Process::is_connected)
    }

    /// Asks a node to state its next outcome; the history says what became of it. Returns whether it could be asked.
    ///
    /// # Errors
    ///
    /// [`Fault::Io`].
    pub fn emit(&mut self, site: usize, wait: bool) -> Result<Option<u64>, Fault> {
        if !self.is_up(site) {
            return Ok(None);
        }
        let number = self.next[site];
        self.next[site] += 1;
        self.history.add(Entry::Asked { site, number })?;
        let request =
            json!({"emit":{"domain":DOMAIN,"delta":[number, site, 0, 0],"confidence":0.5,"wait":wait}});
        let life = self.lives[site] - 1;
        Ok(self.request(site, request, Waiting::Emission { site, life, number }))
    }

    /// Asks a node something, and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`Fault::Answer`] when it refuses, and others.
    pub fn ask(&mut self, site: usize, request: &Value) -> Result<Value, Fault> {
        let asked = self.request(site, request.clone(), Waiting::Answer);
        let id = asked.ok_or_else(|| Fault::Answer { site, answer: format!("nothing to {request}") })?;
        let mut answer = None;
        self.until(&format!("node {site} answers {request}"), PATIENCE, |cluster| {
            answer = cluster.answers.remove(&id);
            Ok(answer.is_some())
        })?;
        let answer = answer.unwrap_or_default();
        let refused = || Fault::Answer { site, answer: answer.to_string() };
        answer.get("ok").cloned().ok_or_else(refused)
    }

    /// The answer to a request, once it is there.
    pub fn answer(&mut self, id: u64) -> Option<Value> {
        self.answers.remove(&id)
    }

    /// Returns the number of the request, unless the node is gone.
    fn request(&mut self, site: usize, mut request: Value, what: Waiting) -> Option<u64> {
        self.ids += 1;
        request["id"] = self.ids.into();
        let process = self.processes[site].as_mut()?;
        // One that breaks now has been killed, or will be seen to have ended.
        process.say(&request.to_string()).ok()?;
        self.waiting.insert(self.ids, what);
        Some(self.ids)
    }

    /// Takes in what nodes say until something holds.
    ///
    /// # Errors
    ///
    /// [`Fault::Waited`] after so long, [`Fault::Ended`] when a node ended by itself, and others.
    pub fn until(
        &mut self,
        what: &str,
        patience: Duration,
        mut holds: impl FnMut(&mut Self) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let began = Instant::now();
        while !holds(self)? {
            if began.elapsed() > patience {
                return Err(Fault::Waited { what: what.to_owned(), seconds: patience.as_secs_f64() });
            }
            self.step(LOOK)?;
        }
        Ok(())
    }

    /// Takes in what nodes say until a time.
    ///
    /// # Errors
    ///
    /// [`Fault::Ended`] when a node ended by itself, and [`Fault::Io`].
    pub fn listen(&mut self, until: Instant) -> Result<(), Fault> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.step(left.min(LOOK))?;
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    /// Takes in what nodes say, and waits so long for it at most.
    fn step(&mut self, patience: Duration) -> Result<(), Fault> {
        self.look_after()?;
        match self.heard.recv_timeout(patience) {
            Ok(heard) => self.take_in(heard)?,
            // The other end is this struct's too, so it is never gone.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        while let Ok(heard) = self.heard.try_recv() {
            self.take_in(heard)?;
        }
        Ok(())
    }

    /// Connects to nodes that have come up, and notices those that ended.
    fn look_after(&mut self) -> Result<(), Fault> {
        for (process, site) in self.processes.iter_mut().zip(&self.sites) {
            let Some(process) = process else { continue };
            if let Some(status) = process.ended() {
                return Err(Fault::Ended { site: site.number, status, log: last_words(site) });
            }
            process.connect(site, &self.tell);
        }
        Ok(())
    }

    fn take_in(&mut self, heard: Heard) -> Result<(), Fault> {
        let Heard { site, life, line } = heard;
        let Some(line) = line else { return Ok(()) };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let applied = &line["event"]["applied"];
        if applied.is_object() {
            let (author, packet) = (text(&applied["author"]), text(&applied["packet"]));
            return self.history.add(Entry::Applied { site, life, author, packet });
        }
        let Some(id) = line["id"].as_u64() else { return Ok(()) };
        let Some(what) = self.waiting.remove(&id) else { return Ok(()) };
        if let Waiting::Emission { site, number, .. } = what {
            let small = |value: &Value| value.as_u64().and_then(|value| u32::try_from(value).ok());
            let ok = &line["ok"];
            let name = small(&ok["incarnation"]).zip(small(&ok["sequence"]));
            let name = name.map(|(incarnation, sequence)| Name {
                incarnation,
                sequence,
                packet: text(&ok["packet"]),
            });
            let refused = line["error"]["kind"].as_str().map(str::to_owned);
            self.history.add(match (name, refused) {
                (Some(name), _) => Entry::Acknowledged { site, number, name },
                (None, Some(kind)) => Entry::Refused { site, number, kind },
                (None, None) => return Err(Fault::Answer { site, answer: line.to_string() }),
            })?;
        }
        self.answers.insert(id, line);
        Ok(())
    }

    /// Has each node state outcomes until all others have acknowledged one of it: so all find all.
    ///
    /// # Errors
    ///
    /// [`Fault::Waited`] after so long, and others.
    pub fn find_each_other(&mut self, patience: Duration) -> Result<(), Fault> {
        let all = self.sites.len();
        let mut under_way: Vec<Option<u64>> = vec![None; all];
        let mut again = vec![Instant::now(); all];
        let mut done = vec![false; all];
        self.until("all nodes find each other", patience, |cluster| {
            for site in 0..all {
                if let Some(answer) = under_way[site].and_then(|id| cluster.answer(id)) {
                    done[site] = answer["ok"]["delivered"] == all - 1;
                    (under_way[site], again[site]) = (None, Instant::now() + STATE_AGAIN);
                }
                if !done[site] && under_way[site].is_none() && Instant::now() >= again[site] {
                    under_way[site] = cluster.emit(site, true)?;
                }
            }
            Ok(done.iter().all(|done| *done))
        })
    }

    /// Waits until every node holds the same outcome of every other one, and not one older than was acknowledged. Returns how long that took.
    ///
    /// # Errors
    ///
    /// [`Fault::Waited`] after so long, and others.
    pub fn agree(&mut self, patience: Duration) -> Result<Duration, Fault> {
        let began = Instant::now();
        self.until("all nodes agree", patience, Self::agrees)?;
        Ok(began.elapsed())
    }

    /// Whether a node that runs still has to say what became of an outcome.
    fn is_asked(&self) -> bool {
        let runs = |site: usize, life| self.processes[site].as_ref().is_some_and(|one| one.life == life);
        self.waiting
            .values()
            .any(|one| matches!(*one, Waiting::Emission { site, life, .. } if runs(site, life)))
    }

    /// Whether every node holds the same outcome of every other one, and not one older than was acknowledged.
    ///
    /// # Errors
    ///
    /// [`Fault`] when one can't be asked.
    pub fn agrees(&mut self) -> Result<bool, Fault> {
        if self.is_asked() {
            return Ok(false);
        }
        let authors = self.authors();
        let old = self.outdated();
        let mut held: BTreeMap<String, String> = BTreeMap::new();
        for site in 0..self.sites.len() {
            if !self.is_up(site) {
                return Ok(false);
            }
            let peers = self.ask(site, &json!({"peers":{}}))?;
            let packets = peers["domains"][DOMAIN].as_array().cloned().unwrap_or_default();
            if packets.len() + 1 < authors.len() {
                return Ok(false);
            }
            for packet in packets {
                let text = |name: &str| packet[name].as_str().unwrap_or_default().to_owned();
                let (author, id) = (text("author"), text("packet"));
                let same = held.entry(author).or_insert_with(|| id.clone());
                if *same != id || old.contains(&id) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Acknowledged packets that a later acknowledged one of their author replaced.
    fn outdated(&self) -> Vec<String> {
        let mut newest: BTreeMap<usize, &Name> = BTreeMap::new();
        let mut old = Vec::new();
        for entry in self.history.entries() {
            let Entry::Acknowledged { site, name, .. } = entry else { continue };
            match newest.get(site) {
                Some(known) if known.order() > name.order() => old.push(name.packet.clone()),
                known => {
                    old.extend(known.map(|known| known.packet.clone()));
                    newest.insert(*site, name);
                }
            }
        }
        old
    }

    /// Ends all nodes in order.
    ///
    /// # Errors
    ///
    /// [`Fault::Ended`] when one does not end with 0, [`Fault::Waited`] when one does not end.
    pub fn stop(&mut self) -> Result<(), Fault> {
        for (process, site) in self.processes.iter().zip(&self.sites) {
            if let Some(process) = process {
                let failed = Fault::io(format!("node {} cannot be asked to end", site.number));
                process.terminate().map_err(failed)?;
            }
        }
        let began = Instant::now();
        while self.processes.iter().any(Option::is_some) {
            for (place, site) in self.processes.iter_mut().zip(&self.sites) {
                let Some(status) = place.as_mut().and_then(Process::ended) else { continue };
                *place = None;
                if status != "exit status: 0" {
                    return Err(Fault::Ended { site: site.number, status, log: last_words(site) });
                }
            }
            if began.elapsed() > LAST {
                let (what, seconds) = ("all nodes end".to_owned(), LAST.as_secs_f64());
                return Err(Fault::Waited { what, seconds });
            }
            std::thread::sleep(LOOK);
        }
        // What they said last.
        while let Ok(heard) = self.heard.recv_timeout(LOOK) {
            self.take_in(heard)?;
        }
        Ok(())
    }
}
