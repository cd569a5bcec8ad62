//! `harproxy ca trust`: prints or runs the commands that install the CA in the trust stores of this machine.

use std::ffi::OsString;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::child::env;
use crate::cli::advice::{self, Failure};
use crate::cli::args::ca::TrustArgs;
use crate::cli::event::Event;
use crate::cli::ui::{self, Ui};
use crate::trust::edit::{ChangeError, StoreEditor};
use crate::trust::{
    Ca, ListError, LocalRunner, Machine, Obstacle, Rights, Store, StoreCommand, StoreContents, StoreEntry, StoreList,
    TrustState, stores,
};
use crate::verdict::exit;
use harproxy_support::printable::Shown as _;
use harproxy_tls::authority::Authority;

/// Runs the command. The failure of a single store is reported and sets the exit status.
pub fn run(args: &TrustArgs, authority: &Authority, ui: &Ui) -> Result<u8, Failure> {
    let env = env::own();
    let machine = Machine::here(&env);
    let ca = Ca::of(authority);
    let mut plan = stores(&machine, &ca);
    if !args.store.is_empty() {
        plan.stores.retain(|store| args.store.iter().any(|choice| choice.includes(store.kind)));
        plan.notes.clear();
    }
    let output = StoreOutput { ca: &ca, authority, rights: machine.rights, ui };
    let mut runner = LocalRunner::new(&env);
    if let Some(user) = env.get("SUDO_USER").filter(|user| *user != "root" && machine.rights == Rights::Administrator) {
        output.warn_of_sudo(&user.to_string_lossy());
    }
    if args.install || args.uninstall {
        return output.act(&plan, args, &mut runner);
    }
    let looked: Vec<_> = plan.stores.iter().map(|store| (store, store.list(&mut runner))).collect();
    let line = |(store, found): &(&Store, Looked)| format!("{}\n", output.json(store, found));
    let written = match args.json {
        true => ui.json(&looked.iter().map(line).collect::<String>()),
        false => ui.data(&output.page(&looked, &plan.notes)),
    };
    written.map_err(Failure::Output)?;
    Ok(exit::SUCCESS)
}

/// The context of the output about each store.
struct StoreOutput<'a> {
    ca: &'a Ca,
    authority: &'a Authority,
    rights: Rights,
    ui: &'a Ui,
}

type Looked = Result<StoreContents, ListError>;

impl StoreOutput<'_> {
    fn warn_of_sudo(&self, user: &str) {
        let text = format!(
            "this is the view of root: {} belongs to the CA in {}, and the browsers are those of root. Run it without sudo as {user}: it marks the commands that need root and uses sudo only for these",
            self.ca.name,
            self.authority.dir().shown()
        );
        self.ui.warn(Event::Warning, &text);
    }

    /// Runs the commands, store by store.
    fn act(&self, plan: &StoreList, args: &TrustArgs, runner: &mut LocalRunner) -> Result<u8, Failure> {
        if args.install {
            self.ui.note(Event::Risk, &self.risk());
        }
        let mut failed = 0;
        for store in &plan.stores {
            let ui = self.ui;
            let mut print = |words: &[OsString]| {
                ui.note(Event::Command, &format!("  {}", ui::faint(harproxy_support::shell_quote::words(words))))
            };
            let mut editor = StoreEditor { rights: self.rights, runner: &mut *runner, tell: &mut print };
            let wanted = if args.install { TrustState::Trusted } else { TrustState::Absent };
            let done = editor.change(store, wanted);
            let found = store.list(runner);
            if args.json {
                let mut object = self.json(store, &found);
                object["done"] = done.is_ok().into();
                object["ran"] = done.as_ref().map_or(json!(null), |ran| commands(ran, self.rights));
                object["error"] = done.as_ref().err().map_or(json!(null), |error| advice::one_line(error).into());
                object["left"] = done.as_ref().err().map_or(json!([]), |error| commands(left(error), self.rights));
                self.ui.json(&format!("{object}\n")).map_err(Failure::Output)?;
            }
            match done {
                Ok(ran) => self.ui.note(Event::Store, &self.success(store, &ran, args.install)),
                Err(error) => {
                    failed += 1;
                    self.ui.alert(Event::Store, &self.failure(store, &error, args));
                }
            }
            if let Some(others) = found.ok().and_then(|found| self.others(store, &found.others)) {
                self.ui.alert(Event::OtherCa, others.trim_end());
            }
        }
        if plan.stores.is_empty() {
            self.ui.note(Event::Done, "nothing to do: no such store exists here");
        }
        Ok(if failed == 0 { exit::SUCCESS } else { exit::INTERNAL_ERROR })
    }

    fn success(&self, store: &Store, ran: &[StoreCommand], install: bool) -> String {
        let result = match (ran, install) {
            ([], true) => "trusts the CA already",
            ([], false) => "does not contain the CA",
            (_, true) => "trusts the CA now",
            (_, false) => "no longer trusts the CA",
        };
        format!("{} {}: {result}", ui::good("✓"), named(store))
    }

    fn failure(&self, store: &Store, error: &ChangeError, args: &TrustArgs) -> String {
        let mut text = format!("{} {}: {}\n", ui::bad("✗"), named(store), advice::one_line(error));
        let hint = match error {
            ChangeError::Missing { get, .. } => format!("{}, then run this again", get.instruction(self.rights)),
            ChangeError::ByHand(step) => step.clone(),
            ChangeError::NotAllowed(_) if self.rights == Rights::Sudo => {
                "sudo needs a password: run these commands yourself, or run this again after `sudo -v`:".into()
            }
            ChangeError::NotAllowed(_) => "as root:".into(),
            ChangeError::Guarded(_) => "run it yourself, because certutil asks for the password:".into(),
            ChangeError::Command { .. } => "commands still to run after fixing that:".into(),
            ChangeError::Listing(_) => "fix that, then run this again".into(),
            ChangeError::NoEffect { .. } => {
                let purpose = if args.uninstall { "for another source of the certificate" } else { "for the reason" };
                format!("look in the store {purpose}: {}", store.place.shown())
            }
        };
        let _ = writeln!(text, "  {} {hint}", ui::help("hint:"));
        for step in left(error) {
            let _ = writeln!(text, "    {}", ui::help(self.typed(step)));
        }
        text
    }

    /// Formats the risk of installing the CA, and its limits.
    fn risk(&self) -> String {
        let limits = match self.authority.permitted() {
            [] => "The CA has no name constraints that limit this.".to_owned(),
            names => format!("The name constraints of the CA limit this to {}.", names.join(", ")),
        };
        format!(
            "{}: anyone with the key in {} can pose as any site to all programs that use the store.\n      {limits}",
            ui::caution("risk"),
            self.authority.dir().shown()
        )
    }

    /// Formats all stores for the terminal.
    fn page(&self, looked: &[(&Store, Looked)], asides: &[&str]) -> String {
        let mut text = format!(
            "{} needs no installation: `harproxy record` and `harproxy replay` make the program they start trust the CA with variables,\n\
             and do not change the machine. The commands below are for programs that harproxy does not start.\n\n{}\n",
            ui::strong("-- CMD"),
            self.risk()
        );
        for (store, found) in looked {
            text += &self.section(store, found);
        }
        if !asides.is_empty() {
            text.push('\n');
        }
        for aside in asides {
            let _ = writeln!(text, "{aside}");
        }
        let _ = write!(
            text,
            "\n{} runs the missing commands, {} reverses them, {} selects stores.\n",
            ui::help("harproxy ca trust --install"),
            ui::help("--uninstall"),
            ui::help("--store system|browsers|java")
        );
        text
    }

    fn section(&self, store: &Store, found: &Looked) -> String {
        let (mark, state) = match found.as_ref().map(StoreContents::state) {
            Ok(TrustState::Trusted) => (ui::good("✓"), "trusts the CA already".to_owned()),
            Ok(TrustState::Half) => (ui::caution("!"), "contains the CA, but does not trust it yet".to_owned()),
            Ok(TrustState::Absent) => (ui::faint("-"), "does not trust the CA".to_owned()),
            Err(error) => (ui::caution("?"), advice::one_line(error)),
        };
        let mut text = format!("\n{mark} {}: {state}\n  read by {}\n", named(store), store.readers);
        let unknown = StoreContents::default();
        let found = found.as_ref().unwrap_or(&unknown);
        let hint = store.obstacle.as_ref().filter(|_| !found.trusted).map(|obstacle| match obstacle {
            Obstacle::Missing { tool, get } => {
                format!("`{tool}` is needed: {}", ui::help(get.instruction(self.rights)))
            }
            Obstacle::ByHand(step) => step.clone(),
        });
        if let Some(hint) = hint {
            let _ = writeln!(text, "  {} {hint}", ui::help("hint:"));
        }
        if found.guarded {
            let _ = writeln!(text, "  it has a primary password, which certutil asks for and --install cannot enter");
        }
        if !found.trusted {
            self.commands(&mut text, "to install", &store.install());
        }
        self.commands(&mut text, "to uninstall", &uninstall(store, &found.own));
        text + &self.others(store, &found.others).unwrap_or_default()
    }

    /// Formats other CAs of harproxy in the store, and the commands that remove them. `None` if there are none.
    fn others(&self, store: &Store, others: &[StoreEntry]) -> Option<String> {
        if others.is_empty() {
            return None;
        }
        let names: Vec<&str> = others.iter().map(|entry| entry.name.as_str()).collect();
        let mut text = format!(
            "  {} {} of harproxy {} also trusted there: {}\n",
            ui::caution("!"),
            if names.len() == 1 { "another CA" } else { "other CAs" },
            if names.len() == 1 { "is" } else { "are" },
            names.join(", ")
        );
        self.commands(&mut text, "to remove it, if no --ca-dir of yours has it any more", &store.remove_others(others));
        Some(text)
    }

    fn commands(&self, text: &mut String, heading: &str, steps: &[StoreCommand]) {
        if steps.is_empty() {
            return;
        }
        let as_root = self.rights == Rights::User && steps.iter().any(|step| step.needs_root);
        let _ = writeln!(text, "  {heading}{}:", if as_root { " (as root)" } else { "" });
        for step in steps {
            let _ = writeln!(text, "    {}", ui::help(self.typed(step)));
        }
    }

    fn typed(&self, step: &StoreCommand) -> String {
        harproxy_support::shell_quote::words(step.typed(self.rights))
    }

    fn json(&self, store: &Store, found: &Looked) -> Value {
        let state = found.as_ref().map_or_else(|_| json!("unknown"), |found| json!(found.state()));
        let others = found.as_ref().map(|found| found.others.as_slice()).unwrap_or_default();
        let own = found.as_ref().map(|found| found.own.as_slice()).unwrap_or_default();
        let others = others.iter().map(|other| {
            json!({"name": other.name, "remove": commands(&store.remove_others(std::slice::from_ref(other)), self.rights)})
        });
        json!({
            "store": store.kind,
            "name": store.name,
            "place": store.place.to_string_lossy(),
            "state": state,
            "install": commands(&store.install(), self.rights),
            "uninstall": commands(&uninstall(store, own), self.rights),
            "others": others.collect::<Vec<_>>(),
            "needs": match &store.obstacle {
                Some(Obstacle::Missing { get, .. }) => Some(get.instruction(self.rights)),
                Some(Obstacle::ByHand(step)) => Some(step.clone()),
                None => None,
            },
            "ca": self.ca.file.to_string_lossy(),
            "sha256": self.authority.fingerprint(),
        })
    }
}

/// Returns the commands that remove the CA from the store.
fn uninstall(store: &Store, own: &[StoreEntry]) -> Vec<StoreCommand> {
    if own.is_empty() { store.undo() } else { store.remove(own) }
}

fn named(store: &Store) -> String {
    format!("{} ({})", ui::strong(&store.name), store.place.shown())
}

/// Returns the commands that were not run because of a failure.
fn left(error: &ChangeError) -> &[StoreCommand] {
    match error {
        ChangeError::NotAllowed(steps) | ChangeError::Guarded(steps) => steps,
        ChangeError::Command { left, .. } => left,
        _ => &[],
    }
}

/// Converts commands to JSON lists of words.
fn commands(steps: &[StoreCommand], rights: Rights) -> Value {
    let words = |step: &StoreCommand| {
        let words = step.typed(rights);
        words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    steps.iter().map(words).collect::<Vec<_>>().into()
}
