# needs: apt:php=php-cli
# took: none (a context of the script needs two options)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/client.php" <<'PHP'
<?php
set_error_handler(fn ($kind, $message) => throw new Exception($message));
foreach (['json' => '/api/json?page=2', 'redirect' => '/api/redirect', 'image' => '/api/image.png'] as $name => $path) {
    file_put_contents(getenv('OUT') . "/$name", file_get_contents(getenv('BASE') . $path));
}
PHP
php "$work/client.php"
