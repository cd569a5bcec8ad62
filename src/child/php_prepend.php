<?php
// PHP reads this before every script of a run (auto_prepend_file): file_get_contents and its kin take no proxy from the
// environment, only from a stream context. A context that a script makes for itself needs these options too.
(static function (): void {
    $proxy = parse_url((string) getenv('HARPROXY_RUN_PROXY'));
    if (!isset($proxy['host'], $proxy['port'])) {
        return;
    }
    $http = ['proxy' => "tcp://{$proxy['host']}:{$proxy['port']}", 'request_fulluri' => true];
    if (isset($proxy['user'])) {
        $credentials = rawurldecode($proxy['user']) . ':' . rawurldecode($proxy['pass'] ?? '');
        $http['header'] = 'Proxy-Authorization: Basic ' . base64_encode($credentials);
    }
    stream_context_set_default(['http' => $http]);
})();

// The setting that this file took the place of: the last one that an ini file makes which is no harproxy's.
$harproxy_prepended = (static function (): ?string {
    $found = null;
    foreach (explode(',', php_ini_loaded_file() . ',' . php_ini_scanned_files()) as $file) {
        $values = is_file(trim($file)) ? @parse_ini_file(trim($file)) : [];
        $prepended = (string) (($values ?: [])['auto_prepend_file'] ?? '');
        if ($prepended !== '' && basename($prepended) !== basename(__FILE__)) {
            $found = $prepended;
        }
    }
    return $found === 'none' ? null : $found;
})();
if ($harproxy_prepended !== null) {
    require $harproxy_prepended;
}
unset($harproxy_prepended);
