# name: Apache HttpClient createDefault
# needs: apt:java=default-jdk-headless apt:/usr/share/java/httpclient.jar=libhttpclient-java
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/Client.java" <<'JAVA'
import org.apache.http.client.methods.*;
import org.apache.http.impl.client.*;
import org.apache.http.util.EntityUtils;

class Client {
    public static void main(String[] arguments) throws Exception {
        try (var client = HttpClients.createDefault(); var answer = client.execute(new HttpGet(System.getenv("BASE") + "/orders"))) {
            System.out.println(EntityUtils.toString(answer.getEntity()));
        }
    }
}
JAVA
java -cp "/usr/share/java/*" "$work/Client.java"
