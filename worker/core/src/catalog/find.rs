//! Which route a request calls.
//!
//! Only what the seller lists is forwarded, and always in the seller's spelling. An API may take `/api/Premium` and
//! `/api/premium/` for the same path, so the gateway matches both. Where several routes match, the first segment in
//! which they differ decides: a literal goes before a parameter. A catalog in which this does not decide is refused.

use http::Method;

use super::list::Catalog;
use super::own_paths::is_own_path;
use super::path::PathTemplate;
use super::request_path::{RequestPath, RequestPathFault};
use super::route::Route;
use crate::types::ResourceId;

/// The result of looking for a request's route.
#[derive(Debug, Eq, PartialEq)]
pub enum Found<'a> {
    /// This route, and the path that is forwarded to the API.
    Route(&'a Route, String),
    /// The path has routes, for these methods only.
    WrongMethod(Vec<Method>),
    /// No route has such a path.
    Nothing,
    /// The API might take the path for another one. The text is the end of a sentence whose subject is the path.
    BadPath(&'static str),
}

impl Catalog {
    /// The route of a request with this method, to this path as it was sent. `HEAD` finds the route of `GET`.
    pub fn find(&self, method: &Method, raw_path: &str) -> Found<'_> {
        let path = match RequestPath::read(raw_path) {
            Ok(path) if is_own_path(&path.text()) => return Found::Nothing,
            Ok(path) => path,
            Err(RequestPathFault::NoPath) => return Found::Nothing,
            Err(RequestPathFault::Bad(why)) => return Found::BadPath(why),
        };
        let method = match *method {
            Method::HEAD => &Method::GET,
            _ => method,
        };
        let fill = |route: &Route| route.path.fill(&path, route.case_sensitive);
        let all = self.routes().iter();
        let matching: Vec<_> = all.filter_map(|r| Some((r, fill(r)?))).collect();
        let methods = allowed(matching.iter().map(|(route, _)| &route.method));
        let of_method = matching.into_iter().filter(|(r, _)| r.method == *method);
        match of_method.min_by(|(one, _), (two, _)| one.path.rank().cmp(two.path.rank())) {
            Some((route, path)) => Found::Route(route, path),
            None if methods.is_empty() => Found::Nothing,
            None => Found::WrongMethod(methods),
        }
    }
}

/// A path as a route with this path would have it forwarded, whether or not there is such a route now. `None` if it is no
/// path of such a route.
pub fn spelt_as(template: &ResourceId, raw_path: &str) -> Option<String> {
    let template: PathTemplate = template.as_str().parse().ok()?;
    let path = RequestPath::read(raw_path).ok()?;
    template.fill(&path, false)
}

/// Each method once, and `HEAD` where there is `GET`.
fn allowed<'a>(methods: impl Iterator<Item = &'a Method>) -> Vec<Method> {
    let mut allowed = Vec::new();
    for method in methods {
        if !allowed.contains(method) {
            allowed.push(method.clone());
            if *method == Method::GET {
                allowed.push(Method::HEAD);
            }
        }
    }
    allowed
}

#[cfg(test)]
mod tests;
