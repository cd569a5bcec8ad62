# needs: apt:php=php-cli apt:php=php-curl
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/client.php" <<'PHP'
<?php
function keep(string $name, string $path, array $options = []): void {
    $curl = curl_init(getenv('BASE') . $path);
    $always = [CURLOPT_RETURNTRANSFER => true, CURLOPT_FOLLOWLOCATION => true, CURLOPT_FAILONERROR => true, CURLOPT_ENCODING => ''];
    curl_setopt_array($curl, $options + $always);
    $body = curl_exec($curl);
    if ($body === false) throw new Exception("$path: " . curl_error($curl));
    file_put_contents(getenv('OUT') . "/$name", $body);
}
keep('json', '/api/json?page=2');
keep('gzip', '/api/gzip');
keep('post', '/api/items', [CURLOPT_POSTFIELDS => '{"name":"Ada"}', CURLOPT_HTTPHEADER => ['content-type: application/json']]);
keep('redirect', '/api/redirect');
keep('image', '/api/image.png');
PHP
php "$work/client.php"
