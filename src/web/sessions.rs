//! Sessions of people who logged in, and the routes about them: who am I, who is logged in, end a session.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Extension, Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    App,
    access::{Caller, Entrance, Role},
    guard::Guard,
    problem::Problem,
    users::User,
};

/// Most sessions of one person; the oldest ends for another one.
const SESSIONS_EACH: usize = 20;
/// Most characters that are kept of what a browser says about itself.
const AGENT: usize = 200;

/// A person who is logged in.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its name to others; not what the cookie holds.
    pub id: Uuid,
    /// Who.
    pub user: String,
    /// SHA-256 of what the cookie holds.
    secret: [u8; 32],
    /// The hash of the password that opened it: with another password it is over.
    hash: Option<String>,
    since: Timestamp,
    ends: Instant,
    address: IpAddr,
    agent: String,
}

/// All sessions. They live in memory: after a restart people log in again.
#[derive(Debug)]
pub struct Sessions {
    open: Mutex<Vec<Session>>,
    lasts: Duration,
}

impl Sessions {
    /// Sessions that end so long after the login.
    pub fn new(lasts: Duration) -> Self {
        Self { open: Mutex::default(), lasts }
    }

    /// How long a session lasts.
    pub fn lasts(&self) -> Duration {
        self.lasts
    }

    fn open(&self, now: Instant) -> MutexGuard<'_, Vec<Session>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|session| session.ends > now);
        open
    }

    /// Begins one for a person whose password was right. `secret`: SHA-256 of what the cookie holds.
    pub fn begin(&self, user: &User, secret: [u8; 32], address: IpAddr, agent: &str, now: Instant) -> Uuid {
        let id = Uuid::now_v7();
        let mut open = self.open(now);
        let own = open.iter().filter(|session| session.user == user.name).count();
        if own >= SESSIONS_EACH
            && let Some(oldest) = open.iter().position(|session| session.user == user.name)
        {
            open.remove(oldest);
        }
        open.push(Session {
            id,
            user: user.name.clone(),
            secret,
            hash: user.hash.clone(),
            since: Timestamp::now(),
            ends: now + self.lasts,
            address,
            agent: agent.chars().filter(|c| !c.is_control()).take(AGENT).collect(),
        });
        id
    }

    /// The one that a cookie belongs to.
    pub fn of_secret(&self, secret: &[u8; 32], now: Instant) -> Option<Session> {
        self.open(now).iter().find(|session| super::guard::same(&session.secret, secret)).cloned()
    }

    /// The one of this id.
    pub fn of_id(&self, id: Uuid, now: Instant) -> Option<Session> {
        self.open(now).iter().find(|session| session.id == id).cloned()
    }

    /// All of them, the oldest first.
    pub fn all(&self, now: Instant) -> Vec<Session> {
        self.open(now).clone()
    }

    /// Ends one; false when it is not there.
    pub fn end(&self, id: Uuid, now: Instant) -> bool {
        let mut open = self.open(now);
        let before = open.len();
        open.retain(|session| session.id != id);
        open.len() < before
    }
}

impl Session {
    /// Whether the person's password is still the one that opened it.
    pub fn holds(&self, user: &User) -> bool {
        user.hash.is_some() && user.hash == self.hash
    }
}

/// Who sends the requests of this page or program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Who {
    /// Name; null where nobody has to say who they are, and with the token.
    pub user: Option<String>,
    /// What they may do.
    pub role: Role,
    /// How they came in.
    pub entrance: Entrance,
}

/// A session in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionView {
    /// Its id.
    pub session: Uuid,
    /// Who.
    pub user: String,
    /// When the person logged in, RFC 3339 in UTC.
    pub since: String,
    /// When it ends by itself.
    pub until: String,
    /// From which address.
    pub address: String,
    /// What the browser says about itself.
    pub agent: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// Sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionList {
    /// Of everybody for who administers, otherwise one's own; the oldest first.
    pub sessions: Vec<SessionView>,
}

/// A user in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserView {
    /// Name.
    pub user: String,
    /// Role.
    pub role: Role,
    /// Whether there is a password; without one the person comes in by the proxy alone.
    pub password: bool,
}

/// The users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserViews {
    /// By name.
    pub users: Vec<UserView>,
}

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/session", get(who))
        .route("/sessions", get(sessions))
        .route("/sessions/{id}/end", post(end))
        .route("/users", get(users))
}

/// Who asks.
pub async fn who(Extension(caller): Extension<Caller>) -> Json<Who> {
    let Caller { user, role, entrance, .. } = caller;
    Json(Who { user, role, entrance })
}

fn is_seen(caller: &Caller, session: &Session) -> bool {
    caller.role == Role::Administer || caller.user.as_deref() == Some(&session.user)
}

/// The sessions that the caller may see.
pub async fn sessions(State(guard): State<Arc<Guard>>, Extension(caller): Extension<Caller>) -> Json<SessionList> {
    let now = Instant::now();
    let open = guard.people().map(|people| people.sessions.all(now)).unwrap_or_default();
    let view = |session: Session| {
        let left = SignedDuration::try_from(session.ends.saturating_duration_since(now)).unwrap_or_default();
        SessionView {
            current: caller.session == Some(session.id),
            session: session.id,
            user: session.user,
            since: session.since.to_string(),
            until: Timestamp::now().checked_add(left).map(|time| time.to_string()).unwrap_or_default(),
            address: session.address.to_string(),
            agent: session.agent,
        }
    };
    Json(SessionList { sessions: open.into_iter().filter(|session| is_seen(&caller, session)).map(view).collect() })
}

/// Ends a session: one's own, or any for who administers.
pub async fn end(
    State(guard): State<Arc<Guard>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<Uuid>,
) -> Result<Json<serde_json::Value>, Problem> {
    let now = Instant::now();
    let missing = || Problem::not_found(format!("There is no session {id}."));
    let people = guard.people().ok_or_else(missing)?;
    // That of another is as if it was not there.
    let session = people.sessions.of_id(id, now).filter(|session| is_seen(&caller, session)).ok_or_else(missing)?;
    people.sessions.end(id, now);
    tracing::info!(user = session.user, by = caller.user, "a session was ended");
    Ok(Json(serde_json::json!({ "session": id, "user": session.user })))
}

/// The users, without their hashes.
pub async fn users(State(guard): State<Arc<Guard>>) -> Json<UserViews> {
    let all = guard.people().map(|people| people.users.all(Instant::now())).unwrap_or_default();
    let view = |user: &User| UserView { user: user.name.clone(), role: user.role, password: user.hash.is_some() };
    Json(UserViews { users: all.values().map(view).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn user(name: &str, hash: &str) -> User {
        User { name: name.into(), role: Role::Review, hash: Some(hash.into()) }
    }

    #[test]
    fn a_session_ends_by_itself_by_hand_and_with_the_password() {
        let (sessions, now) = (Sessions::new(Duration::from_secs(3600)), Instant::now());
        let id = sessions.begin(&user("K. Berg", "a"), [1; 32], HERE, "Browser\u{7}", now);
        let found = sessions.of_secret(&[1; 32], now).expect("it is there");
        assert_eq!((found.id, &*found.user, &*found.agent), (id, "K. Berg", "Browser"));
        assert!(sessions.of_secret(&[2; 32], now).is_none());
        assert!(found.holds(&user("K. Berg", "a")) && !found.holds(&user("K. Berg", "b")));
        assert!(sessions.of_secret(&[1; 32], now + Duration::from_secs(3599)).is_some());
        assert!(sessions.of_secret(&[1; 32], now + Duration::from_secs(3600)).is_none(), "an hour has passed");
        let id = sessions.begin(&user("K. Berg", "a"), [1; 32], HERE, "", now);
        assert!(sessions.end(id, now) && !sessions.end(id, now) && sessions.of_id(id, now).is_none());
    }

    #[test]
    fn a_person_has_twenty_sessions_and_the_oldest_goes() {
        let (sessions, now) = (Sessions::new(Duration::from_secs(60)), Instant::now());
        sessions.begin(&user("other", "a"), [200; 32], HERE, "", now);
        for n in 0..21 {
            sessions.begin(&user("K. Berg", "a"), [n; 32], HERE, "", now);
        }
        assert_eq!(sessions.all(now).len(), 21);
        assert!(sessions.of_secret(&[0; 32], now).is_none() && sessions.of_secret(&[200; 32], now).is_some());
    }
}
