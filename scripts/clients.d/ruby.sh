# needs: apt:ruby
# took: none (loopback origins need a line)
set -euo pipefail
ruby -rnet/http -rjson -e '
  base, out = ENV.values_at("BASE", "OUT")
  keep = ->(name, answer) { answer.value; File.binwrite("#{out}/#{name}", answer.body) }
  keep.("json", Net::HTTP.get_response(URI(base + "/api/json?page=2")))
  keep.("gzip", Net::HTTP.get_response(URI(base + "/api/gzip")))
  keep.("post", Net::HTTP.post(URI(base + "/api/items"), { name: "Ada" }.to_json, "content-type" => "application/json"))
  redirect = Net::HTTP.get_response(URI(base + "/api/redirect"))
  keep.("redirect", Net::HTTP.get_response(URI.join(base, redirect["location"])))
  keep.("image", Net::HTTP.get_response(URI(base + "/api/image.png")))
'
