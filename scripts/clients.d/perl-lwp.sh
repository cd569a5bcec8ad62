# needs: apt:perl apt:lwp-request=libwww-perl apt:perl=liblwp-protocol-https-perl
set -euo pipefail
perl -MLWP::UserAgent -e '
  my ($base, $out) = @ENV{qw(BASE OUT)};
  my $agent = LWP::UserAgent->new;
  sub keep {
    my ($name, $answer) = @_;
    $answer->is_success or die "$name: ", $answer->status_line;
    open my $file, ">:raw", "$out/$name" or die;
    print $file $answer->decoded_content(charset => "none");
  }
  keep(json => $agent->get("$base/api/json?page=2"));
  keep(gzip => $agent->get("$base/api/gzip", "Accept-Encoding" => "gzip"));
  keep(post => $agent->post("$base/api/items", "Content-Type" => "application/json", Content => q({"name":"Ada"})));
  keep(redirect => $agent->get("$base/api/redirect"));
  keep(image => $agent->get("$base/api/image.png"));
'
