//! Who asks, and what they may do: roles, the role that each request needs, and the name under which a change is kept.

use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::problem::Problem;

/// What a person may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See everything, change nothing.
    View,
    /// Correct and finish cells and cases, and work the sources.
    Review,
    /// Erase cases, and end the sessions of others.
    Administer,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::View, Self::Review, Self::Administer];

    /// Its name in the users' file and in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Review => "review",
            Self::Administer => "administer",
        }
    }

    /// The role of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// How somebody came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Entrance {
    /// Nobody has to say who they are.
    Open,
    /// By the token.
    Token,
    /// By name and password.
    Password,
    /// As a trusted proxy says.
    Proxy,
}

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// How they came in.
    pub entrance: Entrance,
    /// Name, where it is known.
    pub user: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Their session, where they logged in.
    pub session: Option<Uuid>,
}

impl Caller {
    /// Somebody whose name is not known and who may do everything.
    pub fn unnamed(entrance: Entrance) -> Self {
        Self { entrance, user: None, role: Role::Administer, session: None }
    }

    /// The name under which a change is kept. Of a known person it is theirs, and a request that gives another one is
    /// refused; otherwise it is the one that is given.
    ///
    /// # Errors
    /// 403 for another name than that of the person, 422 where no name is known.
    pub fn signs(&self, given: Option<String>) -> Result<String, Problem> {
        match (&self.user, given) {
            (Some(user), Some(given)) if given.trim() != user => Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("invalid `by` '{given}': expected '{user}', who is logged in, or no `by`"),
            )),
            (Some(user), _) => Ok(user.clone()),
            (None, Some(given)) => Ok(given),
            (None, None) => {
                let text = "missing field `by`: expected the name of the person, since nobody is logged in";
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text))
            }
        }
    }

    /// Refuses a request beyond the role of whoever sends it.
    ///
    /// # Errors
    /// 403 with the role that it needs.
    pub fn check(&self, needed: Role) -> Result<(), Problem> {
        if self.role >= needed {
            return Ok(());
        }
        let (who, has, needs) = (self.user.as_deref().unwrap_or_default(), self.role.name(), needed.name());
        Err(Problem::new(StatusCode::FORBIDDEN, format!("'{who}' has the role {has}: expected the role {needs}")))
    }
}

/// The role that a request needs. What is not named here and changes something needs [`Role::Review`].
pub fn needed(method: &Method, path: &str) -> Role {
    let is_read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match path {
        "/api/v1/users" => Role::Administer,
        _ if is_read => Role::View,
        // Everybody may leave; which session may be ended is decided there.
        "/logout" => Role::View,
        _ if path.starts_with("/api/v1/sessions/") => Role::View,
        _ if path.starts_with("/api/v1/cases/") && path.ends_with("/erase") => Role::Administer,
        _ => Role::Review,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_changes_something_needs_more_than_to_look() {
        let document = super::super::openapi::document();
        let mut administered = Vec::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for method in methods.as_object().expect("methods").keys() {
                let method: Method = method.to_ascii_uppercase().parse().expect("a method");
                let role = needed(&method, path);
                match (method == Method::GET, role) {
                    (_, Role::Administer) => administered.push(path.as_str()),
                    (false, Role::View) => assert_eq!(path, "/api/v1/sessions/{id}/end"),
                    (true, role) => assert_eq!(role, Role::View, "{path}"),
                    (false, _) => {}
                }
            }
        }
        assert_eq!(administered, ["/api/v1/cases/{id}/erase", "/api/v1/users"]);
    }

    #[test]
    fn a_known_person_signs_with_their_own_name_alone() {
        let berg = Caller { user: Some("K. Berg".into()), ..Caller::unnamed(Entrance::Password) };
        assert_eq!(berg.signs(None).as_deref(), Ok("K. Berg"));
        assert_eq!(berg.signs(Some(" K. Berg ".into())).as_deref(), Ok("K. Berg"));
        assert_eq!(berg.signs(Some("A. Other".into())).map_err(|problem| problem.status), Err(403));
        let nobody = Caller::unnamed(Entrance::Open);
        assert_eq!(nobody.signs(Some("A. Other".into())).as_deref(), Ok("A. Other"));
        assert_eq!(nobody.signs(None).map_err(|problem| problem.status), Err(422));
    }

    #[test]
    fn a_role_may_do_what_those_before_it_may() {
        let viewer = Caller { user: Some("V".into()), role: Role::View, ..Caller::unnamed(Entrance::Password) };
        assert!(viewer.check(Role::View).is_ok());
        let refusal = viewer.check(Role::Review).expect_err("a viewer changes nothing");
        assert_eq!(refusal.status, 403);
        assert_eq!(refusal.detail, "'V' has the role view: expected the role review");
        assert!(Caller::unnamed(Entrance::Token).check(Role::Administer).is_ok());
        assert_eq!(Role::ALL.map(|role| Role::named(role.name())), Role::ALL.map(Some));
    }
}
