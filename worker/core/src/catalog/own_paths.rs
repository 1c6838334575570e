//! The paths that belong to the worker, so that no route of the seller's API can have them. (`/cdn-cgi/` is the platform's.)

/// The paths that the worker answers by itself, or will answer. A path that ends in a slash also stands for all paths
/// below it.
const OWN_PATHS: [&str; 15] = [
    "/health",
    "/discover",
    "/agent",
    "/introspect",
    "/openapi.json",
    "/llms.txt",
    "/skills.md",
    "/favicon.ico",
    "/.well-known/",
    "/x402/",
    "/a2a/",
    "/mcp/",
    "/admin/",
    "/grants/",
    "/cdn-cgi/",
];

/// Whether a path belongs to the worker, in any case and with or without slashes at its end. `path` may also be the
/// text of a route's template.
pub fn is_own_path(path: &str) -> bool {
    let path = path.trim_end_matches('/').to_ascii_lowercase();
    path.is_empty()
        || OWN_PATHS.iter().any(|own| match own.strip_suffix('/') {
            Some(folder) => path == folder || path.starts_with(own),
            None => path == *own,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents;

    #[test]
    fn what_the_worker_answers_is_its_own_in_any_spelling() {
        for path in [
            "",
            "/",
            "/health",
            "/health/",
            "/HEALTH",
            "/admin",
            "/admin/",
            "/Admin/purchases/:id",
            "/.well-known/jwks.json",
            "/x402/access",
            "/grants/:id",
        ] {
            assert!(is_own_path(path), "{path}");
        }
        for path in [
            "/api",
            "/healthy",
            "/health/deep",
            "/admins",
            "/api/admin",
            "/agent/run",
            "/:page",
        ] {
            assert!(!is_own_path(path), "{path}");
        }
    }

    /// The paths of the worker's route table.
    fn served() -> Vec<String> {
        let (_, table) = include_str!("../../../edge/src/lib.rs")
            .split_once("const ROUTES: [(&str, &str, Page); ")
            .unwrap();
        let (table, _) = table.split_once("\n];").unwrap();
        let first = |line: &str| {
            let first = line.trim().strip_prefix('(')?.split(',').next()?;
            Some(match first {
                "CARD_KEYS_PATH" => documents::CARD_KEYS_PATH.to_owned(),
                "MCP_PATH" => documents::MCP_PATH.to_owned(),
                "MCP_CARD_PATH" => documents::MCP_CARD_PATH.to_owned(),
                "ICON_PATH" => documents::ICON_PATH.to_owned(),
                "OPENAPI_PATH" => documents::OPENAPI_PATH.to_owned(),
                "LLMS_PATH" => documents::LLMS_PATH.to_owned(),
                "REVOKED_PATH" => documents::REVOKED_PATH.to_owned(),
                "SKILLS_PATH" => documents::SKILLS_PATH.to_owned(),
                // The table has paths without the slashes at their end.
                "\"\"" => "/".to_owned(),
                text => text.trim_matches('"').to_owned(),
            })
        };
        table.lines().filter_map(first).collect()
    }

    #[test]
    fn every_path_of_the_workers_route_table_is_its_own() {
        let served = served();
        assert!(served.len() > 10, "{served:?}");
        for path in served {
            assert!(path.starts_with('/'), "{path}: name its value in `served`");
            assert!(is_own_path(&path), "{path} is missing in OWN_PATHS");
        }
    }
}
