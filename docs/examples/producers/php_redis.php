<?php
// Push from PHP with the redis extension (Debian: apt-get install php-redis).
$url = parse_url(getenv('TAILRACE_REDIS_URL') ?: 'redis://127.0.0.1:6379/0');
$redis = new Redis();
$redis->connect($url['host'], $url['port'] ?? 6379);
$redis->select((int) substr($url['path'] ?? '/0', 1));

$now = (int) (microtime(true) * 1000);
$id = dechex($now) . '-' . bin2hex(random_bytes(8));
$push = ['to' => 'room:1', 'event' => 'greeting', 'data' => ['from' => 'php']];
$job = json_encode(['t' => null, 'f' => 'push', 'a' => [$push], 'k' => new stdClass(), 'et' => $now]);

$redis->set("arq:job:$id", $job, ['px' => 86400000]);
$redis->zAdd('tailrace:queue', $now, $id);
echo "enqueued $id\n";
